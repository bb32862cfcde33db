"""Every image is in one part, and each part has every digit in proportion."""

import numpy as np
import pytest

from fl_jax.data import digits


def test_parts_are_whole_and_stratified():
    data = digits.load(validation=0.15, test=0.25)
    assert data.inputs.shape == (1797, 64)
    assert data.inputs.min() == 0
    assert data.inputs.max() == 1
    assert (data.labels.sum(1) == 1).all()
    parts = (data.train, data.validation, data.test)
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(1797))
    assert [len(part) for part in parts] == [1077, 270, 450]
    shares = np.array([data.labels[part].mean(0) for part in parts])
    np.testing.assert_allclose(shares, data.labels.mean(0)[None].repeat(3, 0), atol=0.005)


def test_the_seed_divides():
    first, again, other = digits.load(seed=1), digits.load(seed=1), digits.load(seed=2)
    assert np.array_equal(first.test, again.test)
    assert not np.array_equal(first.test, other.test)


@pytest.mark.parametrize("shares", [(0.0, 0.2), (0.2, -0.1), (0.5, 0.5)])
def test_shares_out_of_range(shares):
    with pytest.raises(ValueError, match="positive shares"):
        digits.load(validation=shares[0], test=shares[1])
