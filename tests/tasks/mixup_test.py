import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fl_jax.tasks.mixup import mixup

SIZE = 8


def mixed(alpha=1.0, mask=(1,) * SIZE, seed=0):
    """Inputs and labels are one-hot, so that a mixture says of whom it is."""
    inputs, labels = jnp.eye(SIZE)[:, :, None], jnp.eye(SIZE)
    found, soft = mixup(alpha)(jax.random.key(seed), inputs, labels, np.float32(mask))
    np.testing.assert_array_equal(found[..., 0], soft)  # the same mixture of both
    return np.asarray(soft)


def test_everyone_is_mixed_with_one_other_and_is_in_one_other():
    soft = mixed()
    np.testing.assert_allclose(soft.sum(1), 1, rtol=1e-6)
    assert ((soft > 0).sum(1) == 2).all()
    assert ((soft > 0).sum(0) == 2).all()
    assert (np.diag(soft) > 0).all()


def test_padding_enters_no_example_wherever_it_stands():
    mask = np.array([1, 0, 1, 1, 0, 1, 1, 0])
    soft = mixed(mask=mask)
    assert (soft[mask > 0][:, mask == 0] == 0).all()
    np.testing.assert_allclose(soft[mask == 0], np.eye(SIZE)[mask == 0])
    np.testing.assert_allclose(mixed(mask=np.arange(SIZE) == 3), np.eye(SIZE), rtol=1e-6)
    np.testing.assert_allclose(mixed(mask=np.zeros(SIZE)), np.eye(SIZE), rtol=1e-6)


def test_shares_are_beta_distributed():
    for alpha in (0.2, 1.0):
        shares = np.concatenate([np.diag(mixed(alpha, seed=seed)) for seed in range(60)])
        assert shares.mean() == pytest.approx(0.5, abs=0.05)
        assert shares.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.12)


def test_the_key_decides():
    np.testing.assert_array_equal(mixed(seed=1), mixed(seed=1))
    assert (mixed(seed=1) != mixed(seed=2)).any()


@pytest.mark.parametrize("alpha", [0.0, -1.0, 1e-300, float("nan"), 1e9])
def test_alpha_out_of_range(alpha):
    with pytest.raises(ValueError, match="mixup="):
        mixup(alpha)
