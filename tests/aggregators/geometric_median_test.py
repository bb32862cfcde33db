import numpy as np
import pytest
from sent_messages import flat, messages, one_round

from fl_jax.aggregators.geometric_median import geometric_median

WEIGHTS = np.array([1.0, 2, 1, 3, 2, 1, 2])


def vardi_zhang(values, weights, steps):
    """The papers' iteration from the weighted mean, in float64."""
    v = np.average(values, axis=0, weights=weights)
    for _ in range(steps):
        away = np.linalg.norm(values - v, axis=1)
        there = away > 0
        pull = weights[there] / away[there]
        toward = pull @ values[there] / pull.sum() - v
        r, held = pull.sum() * np.linalg.norm(toward), weights[~there].sum()
        if r <= held:
            break
        v = v + (1 - held / r) * toward
    return v


def on_a_line(points, weights, size=1, **settings):
    """The median of the points times a unit vector of `size` values, in units of this vector."""
    unit = np.full(size, size**-0.5, np.float32)
    sent = np.float32(points)[:, None] * unit
    return flat(one_round(geometric_median(**settings), sent, weights=weights)) @ unit


@pytest.mark.parametrize("absent", [(), (1, 6)])
def test_it_is_the_weighted_geometric_median(absent):
    sent, here = messages(7, huge=[2], flipped=[5]), ~np.isin(np.arange(7), absent)
    result = flat(one_round(geometric_median(), sent, weights=WEIGHTS, present=here))
    expected = vardi_zhang(flat(sent, 7)[here], WEIGHTS[here], 2000)
    np.testing.assert_allclose(result, expected, rtol=5e-6)


@pytest.mark.parametrize("steps", [1, 3])
def test_every_step_is_the_papers(steps):
    sent = messages(7, flipped=[5])
    result = flat(one_round(geometric_median(iterations=steps), sent, weights=WEIGHTS))
    np.testing.assert_allclose(result, vardi_zhang(flat(sent, 7), WEIGHTS, steps), rtol=5e-6)


@pytest.mark.parametrize("size", [1, 1000])
def test_a_message_of_more_than_half_the_weight_is_the_median(size):
    assert on_a_line([0, 1, 2], [1, 1, 2.5], size) == pytest.approx(2, rel=1e-6)
    # Every step goes 5 % of the way, and 100 steps end at 1.99: the last check finds the median.
    assert on_a_line([0, 1, 2], [1, 1, 2.1], size) == pytest.approx(2, rel=1e-6)


def test_it_leaves_a_message_that_is_not_the_median():
    weights = [3, 0.5, 1]  # the weighted mean is the message 0
    assert on_a_line([-1, 0, 3], weights, iterations=1) == pytest.approx(-0.6 * (1 - 0.5 / 2))
    assert on_a_line([-1, 0, 3], weights) == pytest.approx(-1)


def test_it_stops_by_the_tolerance():
    sent = messages(7, flipped=[5])
    coarse, one, fine = (
        flat(one_round(geometric_median(*settings), sent, weights=WEIGHTS))
        for settings in ((100, 1.0), (1,), ())
    )
    np.testing.assert_array_equal(coarse, one)
    assert np.linalg.norm(fine - one) > 1e-3


def test_without_a_majority_sites_are_averaged():
    assert on_a_line([-1, 5], [1, 1]) == pytest.approx(2)
    assert on_a_line([-1, 5], [3, 2]) == pytest.approx(-1)  # a majority of the weight


def test_a_message_that_is_the_median_stays_it():
    sent = messages(1)
    np.testing.assert_array_equal(flat(one_round(geometric_median(), sent)), flat(sent))


def test_refuses_what_is_out_of_range():
    with pytest.raises(ValueError, match="iterations=0"):
        geometric_median(iterations=0)
    with pytest.raises(ValueError, match="tolerance=-1"):
        geometric_median(tolerance=-1)
