"""Participation: a number of sites from min_sites to S, drawn from key and round."""

import jax
import numpy as np
import pytest

from fl_jax.core.participation import participation


def test_at_least_min_sites_and_each_number_occurs():
    drawn = np.stack([participation(jax.random.key(0), r, 5, 3) for r in range(200)])
    assert set(drawn.sum(1)) == {3, 4, 5}
    assert (drawn.mean(0) > 0.6).all()


def test_a_pure_function_of_key_and_round():
    one = [participation(jax.random.key(0), r, 5, 2).tolist() for r in range(20)]
    assert one == [participation(jax.random.key(0), r, 5, 2).tolist() for r in range(20)]
    assert one != [participation(jax.random.key(1), r, 5, 2).tolist() for r in range(20)]


@pytest.mark.parametrize("min_sites", [0, 6])
def test_min_sites_out_of_range(min_sites):
    with pytest.raises(ValueError, match=f"min_sites={min_sites}"):
        participation(jax.random.key(0), 0, 5, min_sites)
