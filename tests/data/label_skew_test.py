"""Nothing is lost, nothing is at two sites, the skew follows alpha, and every site has its minimum."""

import numpy as np
import pytest

from fl_jax.data.label_skew import dirichlet

LABELS = np.arange(1000) % 10


def counts(parts):
    return np.array([np.bincount(LABELS[part], minlength=10) for part in parts])


@pytest.mark.parametrize("alpha", [0.01, 0.1, 1.0, 1000.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_every_example_is_at_one_site_and_each_site_has_its_minimum(alpha, seed):
    parts = dirichlet(LABELS, 20, alpha=alpha, seed=seed, minimum=7)
    assert len(parts) == 20
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(1000))
    assert min(map(len, parts)) >= 7
    assert all((np.diff(part) > 0).all() for part in parts)


def test_a_large_alpha_deals_alike_and_a_small_one_gives_a_class_to_few():
    alike = counts(dirichlet(LABELS, 10, alpha=1e6, seed=0))
    np.testing.assert_allclose(alike, 10, atol=1)  # 100 of each class over ten sites
    skewed = counts(dirichlet(LABELS, 10, alpha=0.01, seed=0))
    assert (skewed.max(0) / skewed.sum(0) > 0.5).all()


def test_shares_are_those_that_were_drawn():
    labels = np.zeros(1000, int)
    generator = np.random.default_rng(3)
    generator.permutation(1000)
    expected = generator.dirichlet([0.5] * 4) * 1000
    sizes = [len(part) for part in dirichlet(labels, 4, alpha=0.5, seed=3)]
    np.testing.assert_allclose(sizes, expected, atol=1)


def test_the_minimum_leaves_the_others_as_they_were_dealt():
    free = dirichlet(LABELS, 20, alpha=0.1, seed=0, minimum=0)
    filled = dirichlet(LABELS, 20, alpha=0.1, seed=0, minimum=10)
    short = sum(max(10 - len(part), 0) for part in free)
    assert short > 0
    moved = sum(
        len(np.setdiff1d(after, before)) for before, after in zip(free, filled, strict=True)
    )
    assert moved == short


def test_a_pure_function_of_the_seed():
    first, again, other = (dirichlet(LABELS, 5, alpha=0.1, seed=s) for s in (4, 4, 5))
    assert all(map(np.array_equal, first, again))
    assert not all(map(np.array_equal, first, other))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sites": 0}, "sites=0"),
        ({"alpha": 0.0}, "alpha=0.0"),
        ({"alpha": float("nan")}, "alpha=nan"),
        ({"minimum": -1}, "minimum=-1"),
        ({"minimum": 301}, "there are 1000"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    given = {"sites": 4, "alpha": 0.1, "seed": 0} | arguments
    with pytest.raises(ValueError, match=message):
        dirichlet(LABELS, given.pop("sites"), **given)
