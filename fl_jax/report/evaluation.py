"""The study's statistics for any predictions: a model on labelled data, and other programs beside it.

Nothing is computed here that the study's report does not compute: AUROCs with DeLong's intervals (patients as
clusters, and naive ones beside them) and those of a bootstrap over patients, average precision, operating
points that were chosen on validation data, calibration, the challenge's loss and detection by patient; at
every site, at all sites, on the hold-out. Our model is compared with each other program on the same images,
in pairs; Holm's adjustment is over all programs and data sets.

A program without validation images has no operating point but the fixed one; the others are undefined.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from typing import Any

from fl_jax.core.types import LABELS
from fl_jax.data.site_names import ALL_SITES
from fl_jax.evaluation.delong_by_label import label_areas
from fl_jax.evaluation.operating_points import youden_thresholds
from fl_jax.evaluation.predictions import Predictions
from fl_jax.files.jsonable import jsonable
from fl_jax.report import (
    answer,
    clinical,
    documents,
    gains,
    page,
    resampling,
    results,
    significance,
)

COLUMNS = (
    *("data", "model", "minus", "statistic", "label", "interval"),
    *("estimate", "low", "high", "p", "p_holm"),
)
BY_STUDY = "a study's probability"
"""Of the facts, where studies are judged and no slices: what a study's probability is."""


def compute(
    models: Mapping[str, Predictions],
    validation: Mapping[str, Predictions],
    facts: Mapping[str, Any],
    *,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Any]:
    """Every statistic of every model.

    Args:
        models: predictions by model, ours first; test and hold-out images count, which must be the same ones.
        validation: each model's, on images to choose its operating points on; of no image without any.
        facts: what is to be said of the data and of our model, name to value.
        resamples: bootstrap resamples of patients.
        seed: of the resampling.
        level: coverage of the intervals, in (0, 1).

    Returns:
        Plain JSON, None where undefined: "ours", "models", "facts", "bootstrap", "primary" (the hold-out, or
        else all sites), "data_sets", "undefined", "thresholds", and by data set "performance" and "delong"
        (as in `results.json`), "clinical" (see `clinical.sections`), "differences" and "delong_differences"
        of ours less each other's.

    Raises:
        ValueError: there is no test or hold-out image, or two models were judged on different images.
    """
    ours, *others = models
    sets = results.data_sets(models)
    if not sets:
        raise ValueError(
            f"the predictions of {ours!r} hold no image of the splits test and holdout: "
            "there is nothing to judge the model on"
        )
    if len(set(sets) - set(significance.NO_HOSPITAL)) == 1:
        del sets[ALL_SITES]  # the one site again, which would be tested twice
    primary = results.primary_of(sets)
    thresholds = {name: youden_thresholds(validation[name]) for name in models}
    measured = resampling.measured(sets, thresholds, resamples=resamples, seed=seed)
    found = {
        data: {name: label_areas(rows[name]) for name in models} for data, rows in sets.items()
    }
    pairs = {
        (data, other): (row[ours], row[other]) for data, row in found.items() for other in others
    }
    table = results.performance(measured, level)
    computed = {
        "format": 1,
        "ours": ours,
        "models": list(models),
        "facts": dict(facts),
        "bootstrap": {"resamples": resamples, "seed": seed, "level": level},
        "primary": primary,
        "data_sets": {data: results.counts(rows) for data, rows in sets.items()},
        "undefined": results.undefined(table, sets),
        "thresholds": {m: dict(zip(LABELS, t, strict=True)) for m, t in thresholds.items()},
        "performance": table,
        "delong": {
            data: {name: significance.single(one, level) for name, one in row.items()}
            for data, row in found.items()
        },
        "clinical": {
            data: clinical.sections(rows, validation, level=level) for data, rows in sets.items()
        },
        "differences": {
            data: {name: gains.compared(row[ours], row[name], level) for name in others}
            for data, row in measured.items()
        },
        "delong_differences": significance.adjusted(pairs, level),
    }
    return jsonable(computed)


def as_csv(found: Mapping[str, Any]) -> str:
    """Every figure in a line of its own.

    Args:
        found: of `compute`.

    Returns:
        Lines of `COLUMNS`, empty where undefined; `interval` says how the limits were made.
    """
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n", restval="")
    writer.writeheader()
    for keys, cell in _cells(found):
        known = {name: cell[name] for name in COLUMNS if cell.get(name) is not None}
        writer.writerow(dict(zip(COLUMNS, keys, strict=False)) | known)
    return out.getvalue()


def _cells(found: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    """The first six columns of every line, and where its numbers are."""
    percentile = "bootstrap of patients"
    for data in found["data_sets"]:
        for model in found["models"]:
            key = data, model, ""
            for statistic, labels in found["performance"][data][model].items():
                for label, cell in labels.items():
                    yield (*key, statistic, label, percentile), cell
            for label, cell in found["delong"][data][model].items():
                yield (*key, "auroc", label, "DeLong, patients as clusters"), cell
                naive = {"estimate": cell["estimate"]}
                naive |= {end: cell[f"naive_{end}"] for end in ("low", "high")}
                yield (*key, "auroc", label, "DeLong, naive"), naive
            yield from _clinical(key, found["clinical"][data], model)
        for other, row in found["differences"][data].items():
            key = data, found["ours"], other
            for name, cell in row.items():
                yield (*key, *name.split("/"), percentile), cell
            for label, cell in found["delong_differences"][data][other].items():
                yield (*key, "auroc", label, "DeLong, patients as clusters"), cell


def _clinical(
    key: tuple[str, ...], found: Mapping[str, Any], model: str
) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    for point, labels in found["operating_points"][model].items():
        for label, cell in labels.items():
            yield (*key, f"threshold_at_{point}", label, ""), {"estimate": cell["threshold"]}
            for rate in ("precision", "recall", "specificity", "f1"):
                yield (
                    (*key, f"{rate}_at_{point}", label, "Wilson, patients as clusters"),
                    cell[rate],
                )
    for label, cell in found["calibration"][model].items():
        for name in ("brier", "reliability", "resolution", "uncertainty", "ece", "ece_floor"):
            yield (*key, name, label, ""), {"estimate": cell[name]}
    yield (*key, "challenge_loss", "", ""), {"estimate": found["challenge_loss"][model]}
    for how, models in found["patients"].items():
        for label, cell in models[model].items():
            yield (
                (*key, f"auroc of patients, {how}", label, "DeLong, patients as clusters"),
                cell,
            )


def render(found: Mapping[str, Any]) -> str:
    """Draws the page, which stands alone and is forbidden the network.

    Args:
        found: of `compute`.
    """
    values = {"answer": sentence(found), "labels": list(LABELS), "unit": _unit(found)}
    return documents.render("evaluation.html", r=found, **values)


def _unit(found: Mapping[str, Any]) -> str:
    return "studies" if BY_STUDY in found["facts"] else "slices"


def sentence(found: Mapping[str, Any]) -> str:
    """The first figure with its interval, and what it was measured on, of the results of `compute`."""
    data = found["primary"]
    cell, counted = found["delong"][data][found["ours"]]["micro"], found["data_sets"][data]
    return (
        f"On {counted['patients']} patients ({page.title(data)}, {counted['slices']} {_unit(found)}) the "
        f"{page.title(found['ours'])} model reaches an AUROC of {answer.fixed(cell['estimate'])} "
        f"({answer.spread(cell)}) over all labels."
    )


def as_json(found: Mapping[str, Any]) -> str:
    """The text of the results' file."""
    return json.dumps(found, indent=1, allow_nan=False) + "\n"
