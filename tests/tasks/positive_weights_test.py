import numpy as np
import pytest

from fl_jax.tasks.positive_weights import positive_weights


def test_positive_weights_from_counts():
    weights = positive_weights(np.array([50, 10, 1, 0]), 100, ceiling=20)
    np.testing.assert_allclose(weights, [1, 9, 20, 20])


@pytest.mark.parametrize(("positives", "examples"), [([1], 0), ([-1], 5), ([6], 5)])
def test_counts_out_of_range_are_refused(positives, examples):
    with pytest.raises(ValueError, match="each count must lie in"):
        positive_weights(np.array(positives), examples)
