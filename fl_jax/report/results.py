"""Computes `results.json`: every number of the report in one nested object of plain JSON.

The primary statistic is the published study's: the micro AUROC over all labels, on the hold-out or else on
the test patients of all hospitals. Differences between models are paired: both share resamples of the same
patients. The model `personal` is each hospital's personalised version of the federated one, evaluated on
that hospital's patients; it does not apply to the hold-out, whose patients belong to no hospital.
"""

from collections.abc import Collection, Mapping
from typing import Any

import msgspec
import numpy as np

from fl_jax.core.types import LABELS
from fl_jax.data.site_names import ALL_SITES, HOLDOUT
from fl_jax.evaluation import slice_properties
from fl_jax.evaluation.bootstrap import Resampled, intervals
from fl_jax.evaluation.comparisons import Measured
from fl_jax.evaluation.cross_site import cross_site
from fl_jax.evaluation.operating_points import youden_thresholds
from fl_jax.evaluation.predictions import Predictions, align, select
from fl_jax.report import clinical, curves, gains, hypothesis_tests, resampling, shortcut_scores
from fl_jax.report.cases import choose
from fl_jax.report.incidents import incidents
from fl_jax.workdir import Records

PRIMARY = "auroc/micro"
MARGIN = 0.02
"""Default non-inferiority margin in AUROC."""
PUBLISHED = {
    "source": "Methods and Impact for Using Federated Learning to Collaborate on Clinical Research. "
    "Neurosurgery 2023; 92:431-438",
    "federated": {"estimate": 0.9487, "low": 0.9471, "high": 0.9503},
    "central": {"estimate": 0.9753, "low": 0.9742, "high": 0.9764},
    "difference": {"estimate": -0.0266},
}


def compute(
    records: Records,
    *,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    margin: float = MARGIN,
) -> dict[str, Any]:
    """Computes every statistic of an experiment.

    Args:
        records: of the experiment.
        resamples: bootstrap resamples of patients.
        seed: of the resampling.
        level: coverage of the intervals.
        margin: non-inferiority margin in AUROC, > 0.

    Returns:
        The results; NaN where a statistic is undefined.

    Raises:
        ValueError: there is no test or hold-out image, two models were evaluated on different images, or
            margin is not above 0.
    """
    models = records.predictions
    sets = data_sets(models)
    if not sets:
        raise ValueError(
            f"the predictions of {', '.join(models)} have no image of the splits test and holdout: "
            "predict such patients, or copy the files again"
        )
    validation = {name: visible_validation(name, data) for name, data in models.items()}
    thresholds = {name: youden_thresholds(data) for name, data in validation.items()}
    measured = resampling.resample_all(sets, thresholds, resamples=resamples, seed=seed)
    table = performance(measured, level)
    sizes = {name: counts(rows) for name, rows in sets.items()}
    too_few = [name for name, size in sizes.items() if size["too_few"]]
    primary = primary_data_set(sets)
    ordered = sorted(
        (model for model in models if model.startswith("local_")),
        key=lambda model: -_value(measured[primary][model], PRIMARY),
    )
    return {
        "format": 1,
        "bootstrap": {"resamples": resamples, "seed": seed, "level": level},
        "published": PUBLISHED,
        "primary": {"data": primary, "statistic": PRIMARY},
        "models": list(models),
        "best_local": ordered[0] if ordered else None,
        "worst_local": ordered[-1] if len(ordered) > 1 else None,
        "data_sets": sizes,
        "not_applicable": {
            name: [model for model in models if model not in rows] for name, rows in sets.items()
        },
        "performance": table,
        "undefined": count_undefined(table, sets),
        "thresholds": by_label(thresholds),
        **{
            f"{model}_minus_central": {
                data: gains.paired_difference(row[model], row["central"], level)
                for data, row in measured.items()
                if {model, "central"} <= set(sets[data])
            }
            for model in gains.FEDERATION_MODELS
        },
        "gains": gains.site_gains(measured, PRIMARY, level, too_few),
        "cross_site": cross_site(
            {data: row for data, row in measured.items() if data != ALL_SITES}, level=level
        ),
        "bca": resampling.bca(sets[primary], measured[primary], thresholds, level),
        **hypothesis_tests.sections(
            sets, measured, primary, margin=margin, level=level, too_few=too_few
        ),
        **clinical.sections(sets[primary], validation, level=level),
        "subgroups": slice_properties.sections(
            sets[primary], records.slice_properties, level=level
        ),
        **curves.sections(
            sets[primary],
            ["federated", "central", *ordered[:1], *ordered[1:][-1:]],
            resamples=resamples,
            seed=seed,
            level=level,
        ),
        "shortcuts": shortcut_scores.section(
            sets, _shortcuts(records), resamples=resamples, seed=seed, level=level
        ),
        "cases": choose(sets[primary].get("federated"), thresholds.get("federated")),
        **from_records(records),
    }


def _shortcuts(records: Records) -> shortcut_scores.ByUnit | str:
    if isinstance(records.tissue, str):
        return records.tissue
    pairs = (
        zip(p.image.tolist(), p.patient.tolist(), strict=True) for p in records.predictions.values()
    )
    return shortcut_scores.by_unit(
        records.tissue, {image: name for pair in pairs for image, name in pair}
    )


def from_records(records: Records) -> dict[str, Any]:
    """The sections that show records as they are."""
    saliency = None
    if records.saliency is not None:
        saliency = msgspec.to_builtins(records.saliency) | {"current": records.saliency_is_current}
    return {
        "learning": records.metrics,
        "incidents": incidents(records.metrics),
        "done": records.done,
        "cohort": records.dataset,
        "partition": records.partition,
        "run": records.manifest,
        "saliency": saliency,
    }


def visible_validation(model: str, data: Predictions) -> Predictions:
    """The validation images that a model may see: its site's for a local model, all for any other."""
    visible = data.split == "validation"
    if model.startswith("local_"):
        visible &= data.site == model.removeprefix("local_")
    return select(data, visible)


def data_sets(models: Mapping[str, Predictions]) -> dict[str, dict[str, Predictions]]:
    """[data set][model]: each site's test images, all of them together, and the hold-out."""
    sites = sorted({s for p in models.values() for s in np.unique(p.site[p.split == "test"])})
    masks = {
        site: {name: (data.split == "test") & (data.site == site) for name, data in models.items()}
        for site in sites
    }
    masks[ALL_SITES] = {name: data.split == "test" for name, data in models.items()}
    masks[HOLDOUT] = {
        name: data.split == HOLDOUT for name, data in models.items() if name != "personal"
    }
    return {
        name: align({model: select(models[model], mask) for model, mask in row.items()})
        for name, row in masks.items()
        if any(mask.any() for mask in row.values())
    }


def primary_data_set(sets: Collection[str]) -> str:
    """The hold-out, or else the test patients of all sites, or else the only data set."""
    return next(name for name in (HOLDOUT, ALL_SITES, *sets) if name in sets)


def counts(models: Mapping[str, Predictions]) -> dict[str, Any]:
    """Size of a data set; labels in "one_class" have no AUROC there and are not part of macro.

    "too_few" says whether fewer than `gains.MINIMUM` patients have a bleed, or none: no model is then better.
    """
    data = next(iter(models.values()))
    positives = data.truth.sum(axis=0, dtype=int)
    patients = np.unique(data.patient).size
    bleeding = np.unique(data.patient[data.truth[:, 0] == 1]).size
    return {
        "patients": patients,
        "patients_with_bleed": bleeding,
        "too_few": min(bleeding, patients - bleeding) < gains.MINIMUM,
        "slices": data.image.size,
        "positives": dict(zip(LABELS, positives, strict=True)),
        "one_class": [
            label for label, n in zip(LABELS, positives, strict=True) if n in (0, data.image.size)
        ],
    }


def by_label(thresholds: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Thresholds float64[L] by model, as [model][label]."""
    return {model: dict(zip(LABELS, row, strict=True)) for model, row in thresholds.items()}


def count_undefined(
    table: Mapping[str, Any], applicable: Mapping[str, Collection[str]]
) -> dict[str, dict[str, int]]:
    """Counts the undefined values of a performance table.

    Args:
        table: of `performance`.
        applicable: the models with predictions, by data set.

    Returns:
        By data set: "of", the number of values; "figures", how many of them are undefined; "in_resamples",
        how many of the rest are undefined in some resamples.
    """
    summary = {}
    for data, row in table.items():
        statistics = [labels for model in applicable[data] for labels in row[model].values()]
        cells = [cell for labels in statistics for cell in labels.values()]
        defined = [cell for cell in cells if not np.isnan(cell["estimate"])]
        summary[data] = {
            "figures": len(cells) - len(defined),
            "of": len(cells),
            "in_resamples": sum(cell["undefined"] > 0 for cell in defined),
        }
    return summary


def _value(resampled: Resampled, name: str) -> float:
    value = float(resampled.estimate[resampled.names.index(name)])
    return -np.inf if np.isnan(value) else value


def performance(measured: Measured, level: float) -> dict[str, Any]:
    """[data set][model][statistic][label, macro or micro]: `Interval` fields."""
    nested: dict[str, Any] = {}
    for data, row in measured.items():
        for model, resampled in row.items():
            cells = nested.setdefault(data, {}).setdefault(model, {})
            for name, interval in intervals(resampled, level).items():
                statistic, label = name.split("/")
                cells.setdefault(statistic, {})[label] = interval._asdict()
    return nested
