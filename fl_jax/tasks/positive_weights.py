"""Loss weights for rare labels, from aggregate counts alone."""

import numpy as np

from fl_jax.core.types import LABELS


def positive_weights(positives: np.ndarray, examples: int, *, ceiling: float = 10.0) -> np.ndarray:
    """Weighs a positive by the number of negatives per positive: (N - n_l) / n_l.

    Args:
        positives: int[L], positive examples per label, summed over the training sites.
        examples: N > 0, the training examples of those sites.
        ceiling: the largest weight, >= 1; also the weight of a label without positives.

    Returns:
        float32[L] in [1, ceiling].

    >>> positive_weights(np.array([50, 20, 1, 0]), 100)
    array([ 1.,  4., 10., 10.], dtype=float32)
    """
    positives = np.asarray(positives)
    if examples <= 0 or (positives < 0).any() or (positives > examples).any():
        raise ValueError(
            f"positives={positives.tolist()}, examples={examples}, labels {LABELS}: each count must lie in "
            "0..examples, and there must be examples"
        )
    if not 1 <= ceiling < np.inf:
        raise ValueError(f"ceiling={ceiling}: must be at least 1, and finite")
    ratio = (examples - positives) / np.maximum(positives, 1)
    return np.where(positives > 0, np.clip(ratio, 1, ceiling), ceiling).astype(np.float32)
