"""Orders are whole epochs, reproducible, and unrelated between rounds and sites."""

import collections
import itertools
import math

import numpy as np
import pytest

from fl_jax.data.order import balanced_order, example_order


def labelled(counts):
    """Rows without a finding, with `any` alone, and with each of two subtypes alone."""
    kinds = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [1, 0, 1]], np.uint8)
    return np.repeat(kinds, counts, axis=0)


def balanced(labels, examples=400, seed=0, round_index=0, site="a"):
    return balanced_order(labels, examples, seed, round_index, site)


def test_a_balanced_order_has_half_without_and_the_kinds_alike():
    labels = labelled((60, 0, 20, 2))
    order = balanced(labels)
    drawn = labels[order]
    assert drawn.sum(0).tolist() == [200, 100, 100]
    pairs = drawn[:, 0].reshape(-1, 2)
    assert (pairs.sum(1) == 1).all()  # so that every batch is balanced
    seen = np.bincount(order, minlength=len(labels))
    for members in (seen[:60], seen[60:80], seen[80:]):  # everyone of a kind alike
        assert np.ptp(members) <= 1
    assert balanced(labels, 401).shape == (401,)
    assert labels[balanced(labels, 401)].sum(0)[0] in (200, 201)


def test_a_balanced_order_of_examples_with_several_subtypes_and_of_any_alone():
    labels = np.concatenate([labelled((10, 6, 4, 0)), [[1, 1, 1]]]).astype(np.uint8)
    drawn = balanced(labels, 600)
    assert (drawn < 10).sum() == 300
    assert ((drawn >= 10) & (drawn < 16)).sum() == 100
    assert (drawn == 20).sum() == 120  # all of the second subtype, a fifth of the first


@pytest.mark.parametrize("counts", [(5, 0, 0, 0), (0, 0, 3, 2), (0, 3, 0, 0)])
def test_a_site_of_one_kind_yields_that(counts):
    order = balanced(labelled(counts), 37)
    assert sorted(set(order.tolist())) == list(range(sum(counts)))
    np.testing.assert_array_equal(balanced(labelled((1, 0, 0, 0)), 3), 0)


def test_a_balanced_order_depends_on_seed_round_and_site():
    labels = labelled((30, 3, 4, 5))
    keys = list(itertools.product((0, 1), (0, 1, 2), ("a", "b", "ab")))
    orders = [tuple(balanced(labels, 40, *key)) for key in keys]
    assert len(set(orders)) == len(keys)
    np.testing.assert_array_equal(balanced(labels), balanced(labels))
    with pytest.raises(ValueError, match="has no examples"):
        balanced(labels[:0])


@pytest.mark.parametrize(("n", "examples"), [(7, 7), (7, 3), (7, 21), (7, 25), (1, 5), (5, 0)])
def test_order_is_whole_epochs(n, examples):
    order = example_order(n, examples, 0, 0, "a")
    assert order.shape == (examples,)
    for start in range(0, examples - n + 1, n):
        assert sorted(order[start : start + n]) == list(range(n))
    seen = collections.Counter(order.tolist())
    assert all(math.floor(examples / n) <= seen[i] <= math.ceil(examples / n) for i in range(n))


def test_order_depends_on_each_of_seed_round_and_site_and_nothing_else():
    keys = list(itertools.product((0, 1), (0, 1, 2), ("a", "b", "ab")))
    orders = [tuple(example_order(30, 40, *key)) for key in keys]
    assert len(set(orders)) == len(keys)
    np.random.seed(0)  # noqa: NPY002 - the global generator must not matter
    assert [tuple(example_order(30, 40, *key)) for key in keys] == orders


def test_a_longer_order_begins_like_a_shorter_one():
    short, long = (example_order(9, n, 5, 1, "s") for n in (12, 30))
    np.testing.assert_array_equal(short, long[:12])


def test_epochs_and_first_places_are_shuffled():
    order = example_order(50, 100, 0, 0, "a")
    assert (order[:50] != order[50:]).any()
    firsts = [example_order(4, 1, 0, round, "a")[0] for round in range(400)]
    counts = np.bincount(firsts, minlength=4)
    assert (np.abs(counts - 100) < 4 * np.sqrt(400 * 0.25 * 0.75)).all()


def test_the_order_stays_what_it_was():
    # A change here changes every run that is resumed: give the dataset or the run a new version.
    assert example_order(8, 8, 0, 0, "site").tolist() == [1, 7, 3, 4, 2, 0, 6, 5]


@pytest.mark.parametrize(
    ("n", "examples", "seed", "round"), [(0, 1, 0, 0), (1, -1, 0, 0), (1, 1, -1, 0), (1, 1, 0, -1)]
)
def test_bad_orders(n, examples, seed, round):
    with pytest.raises(ValueError, match=r"site 'a' has no examples|none may be negative"):
        example_order(n, examples, seed, round, "a")
