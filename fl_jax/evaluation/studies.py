"""From slices to studies: a bleed anywhere in a study is a bleed of the study.

truth(study) = max over its images of truth,   score(study) = max over its images of score
"""

import numpy as np
from numpy.typing import NDArray

from fl_jax.evaluation.predictions import Predictions, select


def largest(predictions: Predictions, study: NDArray[np.str_]) -> Predictions:
    """What a model says of whole studies: the largest probability of each label in a study.

    Args:
        predictions: of N images.
        study: str[N], of each image.

    Returns:
        The same of M studies, in alphabetical order, with the study's name for an image's; a study is
        positive where one of its images is.

    Raises:
        ValueError: a study has images of two patients, sites or splits.
    """
    names, first, inverse = np.unique(study, return_index=True, return_inverse=True)
    found = select(predictions, first)
    for field in ("patient", "site", "split"):
        each, own = getattr(predictions, field), getattr(found, field)[inverse]
        for row in np.flatnonzero(each != own)[:1]:
            raise ValueError(
                f"study {str(study[row])!r} has images of {field} {str(each[row])!r} and {str(own[row])!r}: "
                "give each study a name of its own"
            )
    truth, scores = np.zeros_like(found.truth), np.zeros_like(found.scores)
    np.maximum.at(truth, inverse, predictions.truth)
    np.maximum.at(scores, inverse, predictions.scores)
    return found._replace(image=names, truth=truth, scores=scores)
