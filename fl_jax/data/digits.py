"""Scikit-learn's digits: 1,797 handwritten digits of 8 x 8 pixels, shipped with the package.

The test set of "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak, UCI Machine Learning
Repository, 1998): real data, small enough to compare twenty algorithms with many seeds in minutes.
"""

from typing import NamedTuple

import numpy as np

from fl_jax.files.extras import extra


class Digits(NamedTuple):
    """Images and a stratified division into three parts.

    Attributes:
        inputs: float32[N, 64] in [0, 1], brightness, row by row.
        labels: float32[N, 10] in {0, 1}, one-hot.
        train, validation, test: int64, ascending positions in these arrays.
    """

    inputs: np.ndarray
    labels: np.ndarray
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def load(*, validation: float = 0.15, test: float = 0.25, seed: int = 0) -> Digits:
    """Loads and divides the digits.

    Args:
        validation: share of the images for choosing hyperparameters, in (0, 1).
        test: share of the images for reporting, in (0, 1).
        seed: draws the division.

    Returns:
        The digits.

    Raises:
        ValueError: a share is out of range, or nothing is left to train on.
    """
    if min(validation, test) <= 0 or validation + test >= 1:
        raise ValueError(
            f"validation={validation}, test={test}: must be positive shares whose sum is below 1"
        )
    with extra("ct"):
        from sklearn import datasets, model_selection

    pixels, digit = datasets.load_digits(return_X_y=True)
    rest, tested = model_selection.train_test_split(
        np.arange(len(digit)), test_size=test, random_state=seed, stratify=digit
    )
    train, validated = model_selection.train_test_split(
        rest, test_size=validation / (1 - test), random_state=seed, stratify=digit[rest]
    )
    return Digits(
        (pixels / 16).astype(np.float32),
        np.eye(10, dtype=np.float32)[digit],
        *(np.sort(rows) for rows in (train, validated, tested)),
    )
