"""Clinical performance on one data set: operating points, calibration, patient-level detection.

Operating points and temperatures are chosen on validation data that the model may see. For the federated
temperature each hospital sends sums over its validation slices, not the slices.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fl_jax.core.types import LABELS
from fl_jax.evaluation import noisy_or, operating_points, patient_level, temperature_scaling
from fl_jax.evaluation.calibration import calibration, challenge_loss
from fl_jax.evaluation.delong_by_label import delong_estimates, label_areas
from fl_jax.evaluation.predictions import Predictions, select
from fl_jax.evaluation.proportions import Proportion
from fl_jax.report.label_columns import label_columns

OPERATING_POINTS = {
    "fixed_0.4": "0.4, as published",
    "youden": "Youden",
    "sensitivity_0.95": "Sensitivity 0.95 on validation data",
    "sensitivity_0.98": "Sensitivity 0.98 on validation data",
    "specificity_0.9": "Specificity 0.9 on validation data",
}
"""Titles of the operating points of `evaluation.operating_points`."""
AGGREGATIONS = {"maximum": 1, "mean of top 3": 3}
"""How many of a patient's highest scores are averaged."""
NOISY_OR = "noisy-or, calibrated"
"""The aggregation of `evaluation.noisy_or`."""
SHARED_MODELS = ("federated", "central")
"""Models that every hospital has, and could calibrate with its own temperature."""


def sections(
    models: Mapping[str, Predictions], validation: Mapping[str, Predictions], *, level: float
) -> dict[str, Any]:
    """The parts of `results.json` about operating points, calibration and patients.

    Args:
        models: predictions on the data set, by model.
        validation: each model's predictions on the validation images that it may see.
        level: coverage of the intervals.

    Returns:
        "operating_points" by [model][point][label or micro]; "calibration" by [model][label or micro];
        "challenge_loss" and "temperature" by model; "patients", the AUROC of patients, by
        [aggregation][model][label, macro or micro]; "patient_calibration" by [aggregation][model][label or
        micro]: mean "predicted" probability, share "observed", "brier", "ece", "ece_floor". The noisy-or is
        fitted on validation patients, and undefined without any.
    """
    patients: dict[str, dict[str, Predictions]] = {
        how: {name: patient_level.aggregate(data, top=top) for name, data in models.items()}
        for how, top in AGGREGATIONS.items()
    }
    patients[NOISY_OR] = {name: _noisy_or(data, validation[name]) for name, data in models.items()}
    return {
        "operating_points": {
            name: _operating_points(data, validation[name], level) for name, data in models.items()
        },
        "calibration": {name: _calibration(data, level) for name, data in models.items()},
        "challenge_loss": {name: challenge_loss(data) for name, data in models.items()},
        "temperature": {
            name: _temperature(models[name], validation[name])
            for name in SHARED_MODELS
            if name in models
        },
        "patients": {
            how: {name: _areas(data, level) for name, data in row.items()}
            for how, row in patients.items()
        },
        "patient_calibration": {
            how: {name: _patient_calibration(data) for name, data in row.items()}
            for how, row in patients.items()
        },
    }


def _operating_points(data: Predictions, validation: Predictions, level: float) -> dict[str, Any]:
    table = {}
    for point, thresholds in operating_points.thresholds(validation).items():
        calls = operating_points.calls_at(data, thresholds, level=level)
        table[point] = {
            label: {
                "threshold": thresholds[column] if column < len(LABELS) else None,
                **dict(zip(("tp", "fp", "fn", "tn"), calls.cells[:, column], strict=True)),
                **{name: _cell(rate, column) for name, rate in calls.rates.items()},
            }
            for column, label in enumerate((*LABELS, "micro"))
        }
    return table


def _cell(rate: Proportion, column: int) -> dict[str, float]:
    return {key: float(values[column]) for key, values in rate._asdict().items()}


def _calibration(data: Predictions, level: float) -> dict[str, Any]:
    cells = {}
    for label, column in label_columns(data).items():
        result = calibration(*column, level=level)
        curve = {
            "slices": result.curve.slices,
            "predicted": result.curve.predicted,
            **result.curve.observed._asdict(),
        }
        cells[label] = {**result._asdict(), "curve": curve}
    return cells


def _temperature(data: Predictions, validation: Predictions) -> dict[str, Any]:
    """One temperature for all labels; micro Brier score and ECE before and after applying it."""
    sites = {}
    for name in np.unique(validation.site):
        rows = select(validation, validation.site == name)
        sites[str(name)] = temperature_scaling.site(rows.truth.ravel(), rows.scores.ravel())
    shared = temperature_scaling.fit(list(sites.values()))
    scaling: dict[str, Any] = {
        "federated": shared,
        "sites": {name: temperature_scaling.fit([site]) for name, site in sites.items()},
    }
    for when, factor in (("before", 1.0), ("after", shared)):
        if np.isnan(factor):
            scaling[when] = None
            continue
        result = calibration(
            data.truth.ravel(), temperature_scaling.scaled(data.scores, factor).ravel()
        )
        scaling[when] = {key: getattr(result, key) for key in ("brier", "ece", "ece_floor")}
    return scaling


def _noisy_or(data: Predictions, validation: Predictions) -> Predictions:
    """The patients' calibrated scores; no patient if there is no validation patient."""
    fitted = noisy_or.fit(validation)
    if fitted is None:
        return select(data, np.zeros(data.image.size, bool))
    return noisy_or.aggregate(data, fitted)


def _patient_calibration(data: Predictions) -> dict[str, Any]:
    cells = {}
    for label, (truth, scores, _) in label_columns(data).items():
        result = calibration(truth, scores)
        cells[label] = {
            "predicted": scores.mean() if scores.size else np.nan,
            "observed": truth.mean() if truth.size else np.nan,
            **{key: getattr(result, key) for key in ("brier", "ece", "ece_floor")},
        }
    return cells


def _areas(data: Predictions, level: float) -> dict[str, Any]:
    areas = delong_estimates(label_areas(data), level=level)
    return {
        name: {key: value for key, value in area._asdict().items() if key != "p"}
        for name, area in areas.items()
    }
