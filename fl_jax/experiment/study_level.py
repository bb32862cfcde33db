"""Predictions of DICOM studies: a head's own, or noisy-or over slices, calibrated on validation studies."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from fl_jax.data.index import read_index
from fl_jax.evaluation import noisy_or, patient_level
from fl_jax.evaluation.predictions import Predictions
from fl_jax.workdir import Workdir

CALIBRATED = "noisy-or over its slices, calibrated on {} validation {}"
LARGEST = "the largest of its slices: there are no validation data to calibrate on"
"""How a model of slices predicts a study."""


class StudyNames(NamedTuple):
    """The study of each slice, by image: two maps, because two datasets may name images alike.

    Attributes:
        evaluated: of the evaluated slices.
        validation: of the validation slices; a slice that is not there counts as its patient's one study.
    """

    evaluated: Mapping[str, str]
    validation: Mapping[str, str]


def study_names(workdir: Workdir) -> Mapping[str, str]:
    """The study of each slice of the experiment's dataset, by image.

    Raises:
        FileNotFoundError: the dataset is not on this disk.
    """
    index = workdir.own_data() / "slices" / "index.csv"
    if not index.exists():
        raise FileNotFoundError(
            f"--by_study: there is no {index}, which maps images to studies; put the training dataset, "
            f"or a link to it, at {index.parent.parent}"
        )
    columns = read_index(index, ("image", "study"))
    return dict(zip(columns["image"], columns["study"], strict=True))


def by_study(
    scores: Predictions, validation: Predictions, names: StudyNames
) -> tuple[Predictions, Predictions, str]:
    """Aggregates a model's predictions of slices.

    Args:
        scores: on the evaluated slices.
        validation: on the validation slices that the model may see.
        names: the slices' studies.

    Returns:
        The predictions of studies, of validation studies, and how a study is scored.

    Raises:
        ValueError: an evaluated image has no study.
    """
    images = scores.image.tolist()
    unknown = [image for image in images if image not in names.evaluated]
    if unknown:
        raise ValueError(f"--by_study: image {unknown[0]!r} is not in the dataset's index.csv")
    study = np.array([names.evaluated[image] for image in images], str)
    pairs = zip(validation.image.tolist(), validation.patient.tolist(), strict=True)
    known = np.array([names.validation.get(image, patient) for image, patient in pairs], str)
    fitted = noisy_or.fit(validation, known)
    if fitted is None:
        return patient_level.aggregate(scores, study), validation, LARGEST
    return (
        noisy_or.aggregate(scores, fitted, study),
        noisy_or.aggregate(validation, fitted, known),
        CALIBRATED.format(fitted.units, "study" if fitted.units == 1 else "studies"),
    )
