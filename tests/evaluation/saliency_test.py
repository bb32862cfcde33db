import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fl_jax.evaluation import saliency


def _linear(params, hu):
    return jnp.einsum("bhw,hwl->bl", hu, params["w"])


def test_a_linear_models_map_is_its_weight_whatever_the_noise():
    w = np.random.default_rng(0).normal(size=(4, 5, 3)).astype(np.float32)
    hu = np.random.default_rng(1).normal(size=(2, 4, 5))
    maps = saliency.smooth_grad(
        saliency.gradient(_linear), {"w": w}, hu, np.array([1, 2]), jax.random.key(0)
    )
    np.testing.assert_allclose(maps, np.abs([w[..., 1], w[..., 2]]), rtol=1e-5)


def test_noise_averages_the_gradient_of_a_curved_model():
    def square(params, hu):
        return (hu**2).sum((1, 2))[:, None]

    hu = np.full((1, 2, 2), 3.0)
    maps = saliency.smooth_grad(
        saliency.gradient(square), {}, hu, 0, jax.random.key(0), samples=4000, noise=1.0
    )
    np.testing.assert_allclose(maps, 6.0, atol=0.2)


@pytest.mark.parametrize("wrong", [{"samples": 0}, {"noise": -1.0}])
def test_wrong_options_are_named(wrong):
    with pytest.raises(ValueError, match="samples="):
        saliency.smooth_grad(
            saliency.gradient(_linear), {}, np.zeros((1, 2, 2)), 0, jax.random.key(0), **wrong
        )


def test_one_part_is_random_at_a_time_and_then_all():
    found = saliency.randomised({"a": 1, "b": 2}, {"a": 3, "b": 4})
    assert found == {"a": {"a": 3, "b": 2}, "b": {"a": 1, "b": 4}, "all": {"a": 3, "b": 4}}


def test_similarity_is_of_ranks_inside_the_head():
    maps = np.arange(16.0).reshape(1, 4, 4)
    head = np.ones((1, 4, 4), bool)
    head[0, 0] = False
    changed = np.exp(maps)
    changed[0, 0] = 1e9  # outside
    assert saliency.similarity(maps, changed, head) == pytest.approx([1.0])
    assert saliency.similarity(maps, -maps, head) == pytest.approx([-1.0])
    assert np.isnan(saliency.similarity(maps, np.ones_like(maps), head))
    assert np.isnan(saliency.similarity(maps, maps, np.zeros_like(head)))


def test_shares_count_the_head_only():
    maps = np.ones((2, 2, 2))
    maps[0, 0, 0], maps[1] = 5, 0
    lesion = np.zeros((2, 2, 2), bool)
    lesion[:, 0] = True
    head = np.ones((2, 2, 2), bool)
    head[:, 0, 1] = False
    share, chance = saliency.share_inside(maps, lesion, head)
    np.testing.assert_allclose(share, [5 / 7, np.nan])
    np.testing.assert_allclose(chance, [1 / 3, 1 / 3])


def test_patients_not_slices_decide_the_interval():
    rng = np.random.default_rng(0)
    each = rng.normal(size=20)
    values, patient = np.repeat(each, 10), np.repeat(np.arange(20), 10)
    many = saliency.clustered_mean(values, patient, resamples=2000, seed=0)
    few = saliency.clustered_mean(each, np.arange(20), resamples=2000, seed=0)
    naive = saliency.clustered_mean(values, np.arange(200), resamples=2000, seed=0)
    assert many == pytest.approx(few)
    assert many.high - many.low > 2 * (naive.high - naive.low)


def test_without_values_the_mean_is_undefined():
    assert np.isnan(
        saliency.clustered_mean(np.full(2, np.nan), np.arange(2), resamples=9, seed=0)
    ).all()


def test_the_head_is_the_largest_thing_without_a_holder_and_with_its_cavities():
    rows, columns = np.mgrid[:64, :64]
    distance = np.hypot(rows - 30, columns - 32)
    hu = np.full((2, 64, 64), -1000)
    hu[0][distance < 20] = 40
    hu[0][distance < 5] = -1000  # a sinus
    hu[0, 58:60] = 200  # the table
    hu[0][(np.abs(distance - 24) < 1) & (rows > 30)] = 100  # the holder
    found = saliency.head(hu)
    assert not found[1].any()
    assert found[0, 30, 32]
    assert not found[0][distance > 21].any()
    assert found[0].sum() == pytest.approx(np.pi * 20**2, rel=0.03)
