"""What a model's probabilities are worth at the bedside: calls, calibration, and patients in place of slices.

All on the primary data. Operating points and temperatures are chosen on validation data that the model may
see; the federated temperature is that of all hospitals' validation slices, of which each sends sums alone.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fl_jax.core.types import LABELS
from fl_jax.evaluation import operating_points, patient_level, temperature_scaling
from fl_jax.evaluation.calibration import calibration, challenge_loss
from fl_jax.evaluation.delong_by_label import delong_estimates, label_areas
from fl_jax.evaluation.predictions import Predictions, select
from fl_jax.evaluation.proportions import Proportion

TOP = {"maximum": 1, "mean of top 3": 3}
SHARED = ("federated", "central")
"""Models that every hospital has, so that each can fit a temperature of its own."""


def sections(
    models: Mapping[str, Predictions], validation: Mapping[str, Predictions], *, level: float
) -> dict[str, Any]:
    """The parts of `results.json` about calls, calibration and patients.

    Args:
        models: predictions on the primary data, by model.
        validation: each model's predictions on the validation images that it may see.
        level: coverage of the intervals.

    Returns:
        "operating_points" by [model][point][label or micro]; "calibration" by [model][label or micro], with
        "challenge_loss" by model; "temperature" by model; "patients" by [aggregation][model][label, macro or
        micro].
    """
    return {
        "operating_points": {
            name: _points(data, validation[name], level) for name, data in models.items()
        },
        "calibration": {name: _calibration(data, level) for name, data in models.items()},
        "challenge_loss": {name: challenge_loss(data) for name, data in models.items()},
        "temperature": {
            name: _temperature(models[name], validation[name]) for name in SHARED if name in models
        },
        "patients": {
            how: {name: _detection(data, top, level) for name, data in models.items()}
            for how, top in TOP.items()
        },
    }


def _points(data: Predictions, validation: Predictions, level: float) -> dict[str, Any]:
    found = {}
    for point, chosen in operating_points.thresholds(validation).items():
        judged = operating_points.calls_at(data, chosen, level=level)
        found[point] = {
            label: {
                "threshold": chosen[column] if column < len(LABELS) else None,
                **dict(zip(("tp", "fp", "fn", "tn"), judged.cells[:, column], strict=True)),
                **{name: _cell(rate, column) for name, rate in judged.rates.items()},
            }
            for column, label in enumerate((*LABELS, "micro"))
        }
    return found


def _cell(rate: Proportion, column: int) -> dict[str, float]:
    return {key: float(values[column]) for key, values in rate._asdict().items()}


def _calibration(data: Predictions, level: float) -> dict[str, Any]:
    _, patients = np.unique(data.patient, return_inverse=True)
    columns = {
        label: (data.truth[:, i], data.scores[:, i], patients) for i, label in enumerate(LABELS)
    }
    each = np.repeat(patients, len(LABELS))
    columns["micro"] = data.truth.ravel(), data.scores.ravel(), each
    cells = {}
    for label, (truth, scores, groups) in columns.items():
        found = calibration(truth, scores, groups, level=level)
        curve = {
            "slices": found.curve.slices,
            "predicted": found.curve.predicted,
            **found.curve.observed._asdict(),
        }
        cells[label] = {**found._asdict(), "curve": curve}
    return cells


def _temperature(data: Predictions, validation: Predictions) -> dict[str, Any]:
    """One for all labels; the Brier score and the ECE of all labels pooled, before and after."""
    sites = {}
    for name in np.unique(validation.site):
        own = select(validation, validation.site == name)
        sites[str(name)] = temperature_scaling.site(own.truth.ravel(), own.scores.ravel())
    shared = temperature_scaling.fit(list(sites.values()))
    found: dict[str, Any] = {
        "federated": shared,
        "sites": {name: temperature_scaling.fit([site]) for name, site in sites.items()},
    }
    for when, factor in (("before", 1.0), ("after", shared)):
        if np.isnan(factor):
            found[when] = None
            continue
        judged = calibration(
            data.truth.ravel(), temperature_scaling.scaled(data.scores, factor).ravel()
        )
        found[when] = {key: getattr(judged, key) for key in ("brier", "ece", "ece_floor")}
    return found


def _detection(data: Predictions, top: int, level: float) -> dict[str, Any]:
    areas = delong_estimates(label_areas(patient_level.aggregate(data, top=top)), level=level)
    return {
        name: {key: value for key, value in one._asdict().items() if key != "p"}
        for name, one in areas.items()
    }
