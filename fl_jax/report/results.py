"""Every number of the report in one nested, JSON-able object; the page is drawn from nothing else.

The primary statistic is the micro AUROC over all labels (the paper's), on the hold-out where there is one
and else on all sites' test patients pooled. A difference is paired: both models meet the same resamples
of the same patients. The model `personal` is each hospital's own version of the
federated one, judged on that hospital's patients; to the hold-out, which is nobody's, it is not applicable.
"""

from collections.abc import Collection, Mapping
from typing import Any

import msgspec
import numpy as np

from fl_jax.core.types import LABELS
from fl_jax.data.site_names import ALL_SITES, HOLDOUT
from fl_jax.evaluation import slice_properties
from fl_jax.evaluation.bootstrap import Resampled, intervals
from fl_jax.evaluation.cross_site import cross_site
from fl_jax.evaluation.operating_points import youden_thresholds
from fl_jax.evaluation.predictions import Predictions, align, select
from fl_jax.report import clinical, curves, gains, resampling, significance
from fl_jax.report.cases import choose
from fl_jax.report.incidents import incidents
from fl_jax.workdir import Records

PRIMARY = "auroc/micro"
MARGIN = 0.02
"""Of non-inferiority, where the study's config names none."""
PAPER = {
    "source": "Methods and Impact for Using Federated Learning to Collaborate on Clinical Research. "
    "Neurosurgery 2023; 92:431-438",
    "federated": {"estimate": 0.9487, "low": 0.9471, "high": 0.9503},
    "central": {"estimate": 0.9753, "low": 0.9742, "high": 0.9764},
    "difference": {"estimate": -0.0266},
}

Measured = dict[str, dict[str, Resampled]]
"""[data set][model]."""


def compute(
    records: Records,
    *,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    margin: float = MARGIN,
) -> dict:
    """All statistics of a study.

    Args:
        records: of the experiment, see `read_records`.
        resamples: bootstrap resamples of patients.
        seed: of the resampling.
        level: coverage of the intervals.
        margin: of AUROC, > 0, by which the federation may fall short of pooled training.

    Returns:
        The results; NaN where a statistic is undefined.

    Raises:
        ValueError: two models were judged on different images, margin is not above 0.
    """
    sets = data_sets(records.predictions)
    validation = {name: own_validation(name, data) for name, data in records.predictions.items()}
    thresholds = {name: youden_thresholds(data) for name, data in validation.items()}
    measured = resampling.measured(sets, thresholds, resamples=resamples, seed=seed)
    table = performance(measured, level)
    primary = primary_of(sets)
    ordered = sorted(
        (model for model in records.predictions if model.startswith("local_")),
        key=lambda model: -_value(measured[primary][model], PRIMARY),
    )
    matrix = cross_site(
        {data: row for data, row in measured.items() if data != ALL_SITES}, level=level
    )
    return {
        "format": 1,
        "bootstrap": {"resamples": resamples, "seed": seed, "level": level},
        "paper": PAPER,
        "primary": {"data": primary, "statistic": PRIMARY},
        "models": list(records.predictions),
        "best_local": ordered[0] if ordered else None,
        "worst_local": ordered[-1] if len(ordered) > 1 else None,
        "data_sets": {name: counts(models) for name, models in sets.items()},
        "not_applicable": {
            name: [model for model in records.predictions if model not in models]
            for name, models in sets.items()
        },
        "performance": table,
        "undefined": undefined(table, sets),
        "naive": resampling.naive(sets[primary], level),
        "thresholds": {m: dict(zip(LABELS, t, strict=True)) for m, t in thresholds.items()},
        **{
            f"{model}_minus_central": {
                data: gains.compared(row[model], row["central"], level)
                for data, row in measured.items()
                if {model, "central"} <= set(sets[data])
            }
            for model in gains.DELIVERED
        },
        "gains": gains.gains(measured, PRIMARY, level),
        "cross_site": matrix,
        "mean_rank": _mean_rank(matrix),
        "bca": resampling.bca(sets[primary], measured[primary], thresholds, level),
        **significance.sections(sets, measured, primary, margin=margin, level=level),
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
        "cases": choose(sets[primary].get("federated"), thresholds.get("federated")),
        **from_records(records),
    }


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


def own_validation(model: str, data: Predictions) -> Predictions:
    """The validation images that a model may see: a local model its own site's, another everybody's."""
    seen = data.split == "validation"
    if model.startswith("local_"):
        seen &= data.site == model.removeprefix("local_")
    return select(data, seen)


def data_sets(models: Mapping[str, Predictions]) -> dict[str, dict[str, Predictions]]:
    """[data set][model]: every site's test images, all of them pooled, the hold-out."""
    sites = sorted({s for p in models.values() for s in np.unique(p.site[p.split == "test"])})
    rows = {
        site: {name: (data.split == "test") & (data.site == site) for name, data in models.items()}
        for site in sites
    }
    rows[ALL_SITES] = {name: data.split == "test" for name, data in models.items()}
    rows[HOLDOUT] = {
        name: data.split == HOLDOUT for name, data in models.items() if name != "personal"
    }
    return {
        name: align({model: select(models[model], chosen) for model, chosen in row.items()})
        for name, row in rows.items()
        if any(chosen.any() for chosen in row.values())
    }


def primary_of(sets: Collection[str]) -> str:
    """The data set that decides: the hold-out, or else all sites' test patients, or the one there is."""
    return next(name for name in (HOLDOUT, ALL_SITES, *sets) if name in sets)


def counts(models: Mapping[str, Predictions]) -> dict[str, Any]:
    """What a data set holds; the labels of `one_class` have no AUROC there and are not part of macro."""
    data = next(iter(models.values()))
    positives = data.truth.sum(axis=0, dtype=int)
    return {
        "patients": np.unique(data.patient).size,
        "slices": data.image.size,
        "positives": dict(zip(LABELS, positives, strict=True)),
        "one_class": [
            label for label, n in zip(LABELS, positives, strict=True) if n in (0, data.image.size)
        ],
    }


def undefined(
    table: Mapping[str, Any], applicable: Mapping[str, Collection[str]]
) -> dict[str, dict[str, Any]]:
    """How many figures of a table of performance are undefined, and so missing.

    Args:
        table: of `performance`.
        applicable: the models that have an answer for a data set's patients, by data set.

    Returns:
        By data set: "figures", how many are undefined on the data as they are; "of", how many there are;
        "in_resamples", how many of the others are undefined in some resamples.
    """
    found = {}
    for data, row in table.items():
        kinds = [labels for model in applicable[data] for labels in row[model].values()]
        cells = [cell for labels in kinds for cell in labels.values()]
        missing = [bool(np.isnan(cell["estimate"])) for cell in cells]
        partly = [
            cell["undefined"] > 0 for cell, lost in zip(cells, missing, strict=True) if not lost
        ]
        found[data] = {"figures": sum(missing), "of": len(cells), "in_resamples": sum(partly)}
    return found


def _value(resampled: Resampled, name: str) -> float:
    value = float(resampled.estimate[resampled.names.index(name)])
    return -np.inf if np.isnan(value) else value


def performance(measured: Measured, level: float) -> dict[str, Any]:
    """[data set][model][statistic][label, macro or micro]."""
    nested: dict[str, Any] = {}
    for data, row in measured.items():
        for model, resampled in row.items():
            cells = nested.setdefault(data, {}).setdefault(model, {})
            for name, interval in intervals(resampled, level).items():
                statistic, label = name.split("/")
                cells.setdefault(statistic, {})[label] = interval._asdict()
    return nested


def _mean_rank(matrix: Mapping[str, Any]) -> dict[str, dict[str, float | None]]:
    """[statistic][model]: mean rank over the hospitals' data, the hold-out left out."""
    places: dict[str, dict[str, list[int | None]]] = {}
    for row in (row for data, row in matrix.items() if data != HOLDOUT):
        for model, cell in row.items():
            for statistic, value in cell.items():
                places.setdefault(statistic, {}).setdefault(model, []).append(value["rank"])
    return {
        statistic: {
            model: float(np.mean([p for p in seen if p is not None])) if None not in seen else None
            for model, seen in row.items()
        }
        for statistic, row in places.items()
    }
