"""The rule by which slices and patients are called: thresholds chosen on validation predictions.

    slice     called for a label at the lowest threshold with a specificity of 0.9 on validation slices
    patient   called for a label at Youden's threshold of the scores of validation patients, which `noisy_or`
              makes of their slices

| validation predictions | outcome |
|---|---|
| fewer than `FEWEST` patients with a slice free of the label | slices: the fixed threshold `FALLBACK` |
| fewer than `FEWEST` patients with, or without, the label | patients: none, see `Rule.calls_patients` |

Reference: Youden, Cancer 1950; 3:32-35.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fl_jax.evaluation import noisy_or, roc
from fl_jax.evaluation.operating_points import SPECIFICITY, specificity_threshold
from fl_jax.evaluation.patient_level import aggregate
from fl_jax.evaluation.predictions import Predictions

FALLBACK = 0.5
FEWEST = 5
"""Patients of a class that a threshold is chosen on."""


class Threshold(NamedTuple):
    """A threshold of one label, and the validation data behind it.

    Attributes:
        value: probability; called where the score is at least this; NaN for none.
        chosen: whether it was chosen on validation data.
        positives: slices or patients with the label.
        negatives: slices or patients without it.
        patients: patients of these.
    """

    value: float
    chosen: bool
    positives: int
    negatives: int
    patients: int


class Rule(NamedTuple):
    """How slices and patients are called.

    Attributes:
        slices: thresholds by label, L of them.
        patients: likewise.
        score: of patients, from their slices; None takes the largest of a patient's slices.
    """

    slices: tuple[Threshold, ...]
    patients: tuple[Threshold, ...]
    score: noisy_or.NoisyOr | None

    def patient_scores(
        self, scores: NDArray[np.float64], patient: ArrayLike
    ) -> NDArray[np.float64]:
        """Scores of patients, float64[P, L] in [0, 1], in the order of `np.unique(patient)`.

        Args:
            scores: float64[N, L], probabilities of slices.
            patient: str[N].
        """
        patient = np.asarray(patient)
        same, truth = np.full(patient.shape, ""), np.zeros(scores.shape, np.uint8)
        image = np.arange(patient.size).astype(str)
        return _by_patient(
            Predictions(image, patient, same, same, truth, scores), self.score
        ).scores

    def calls_slices(self, scores: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which slices are called for which label: bool[N, L] from probabilities float64[N, L]."""
        return scores >= np.array([threshold.value for threshold in self.slices])

    def calls_patients(
        self, scores: NDArray[np.float64], of_slices: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        """Which patients are called for which label.

        Args:
            scores: float64[P, L], from `patient_scores`.
            of_slices: bool[P, L], whether one of the patient's slices is called; decides without a threshold.
        """
        values = np.array([threshold.value for threshold in self.patients])
        return np.where(np.isnan(values), of_slices, scores >= values)


def choose(validation: Predictions) -> Rule:
    """Chooses the thresholds.

    Args:
        validation: images that the model was allowed to see, never the test data; may have none.
    """
    score = noisy_or.fit(validation)
    patients = _by_patient(validation, score)
    labels = range(validation.truth.shape[1])
    return Rule(
        tuple(_of_slices(validation, label) for label in labels),
        tuple(_of_patients(patients, label) for label in labels),
        score,
    )


def _by_patient(data: Predictions, score: noisy_or.NoisyOr | None) -> Predictions:
    return aggregate(data) if score is None else noisy_or.aggregate(data, score)


def _of_slices(data: Predictions, label: int) -> Threshold:
    truth, scores = data.truth[:, label].astype(bool), data.scores[:, label]
    chosen = np.unique(data.patient[~truth]).size >= FEWEST
    value = specificity_threshold(truth, scores, SPECIFICITY) if chosen else FALLBACK
    return Threshold(
        value, chosen, int(truth.sum()), int((~truth).sum()), np.unique(data.patient).size
    )


def _of_patients(data: Predictions, label: int) -> Threshold:
    truth = data.truth[:, label].astype(bool)
    positives, negatives = int(truth.sum()), int((~truth).sum())
    chosen = min(positives, negatives) >= FEWEST
    value = roc.youden_threshold(truth, data.scores[:, label]) if chosen else float("nan")
    return Threshold(value, chosen, positives, negatives, truth.size)
