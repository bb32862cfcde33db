"""Strikes derive from the run's key, one stream per fault."""

import jax
import numpy as np

from fl_jax.faults.fault import build_faults, draw_strikes

KEY = jax.random.key(0)


def drawn(specs, rounds=400, key=KEY):
    faults = build_faults(specs, 5)
    strikes = jax.vmap(lambda round: draw_strikes(faults, key, round, 5))
    return np.asarray(strikes(np.arange(rounds)))


def test_as_often_as_asked_and_only_where_asked():
    struck = drawn(["absent((1, 3), share=0.3)", "stale(5, share=0.0)", "duplicate(2)"])
    np.testing.assert_allclose(struck[:, 0, [1, 3]].mean(0), 0.3, atol=0.08)
    assert not struck[:, 0, [0, 2, 4]].any()
    assert not struck[:, 1].any()
    np.testing.assert_array_equal(struck[:, 2].all(0), [True, True, False, False, False])


def test_the_key_decides_and_another_fault_shifts_nothing():
    one = drawn(["absent(5, share=0.5)"])
    np.testing.assert_array_equal(one, drawn(["absent(5, share=0.5)"]))
    assert (one != drawn(["absent(5, share=0.5)"], key=jax.random.key(1))).any()
    both = drawn(["absent(5, share=0.5)", "absent(5, share=0.5)"])
    np.testing.assert_array_equal(one[:, 0], both[:, 0])
    assert 0.4 < (both[:, 0] != both[:, 1]).mean() < 0.6  # the second draws for itself
