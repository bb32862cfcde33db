"""Evaluates a model on labelled scans, alone or against other programs, with the statistics of the report.

AUROC with DeLong and bootstrap intervals, average precision, operating points chosen on validation data,
calibration, the challenge's loss and patient-level detection: at every site, at all sites, on the hold-out.
The model is compared with each other program on the same images; Holm's adjustment covers all programs and
data sets.

A program without validation predictions has only the fixed operating point; the others are undefined.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from fl_jax.core.types import ANY, LABELS
from fl_jax.data.site_names import ALL_SITES
from fl_jax.evaluation import call_rule, operating_points
from fl_jax.evaluation.delong_by_label import label_areas
from fl_jax.evaluation.operating_points import youden_thresholds
from fl_jax.evaluation.predictions import Predictions
from fl_jax.files import csv_table
from fl_jax.files.jsonable import jsonable
from fl_jax.report import (
    call_words,
    clinical,
    gains,
    hypothesis_tests,
    resampling,
    results,
    shortcut_scores,
)
from fl_jax.report.clinical import OPERATING_POINTS
from fl_jax.report.formatting import display_name, fixed, limits
from fl_jax.report.rendering import render_html

KEYS = ("data", "model", "minus", "statistic", "label", "interval")
VALUES = ("estimate", "low", "high", "p", "p_holm")
BY_STUDY = "a study's probability"
"""Key of the fact that says how a DICOM study is scored; absent if predictions are by slice."""
TRAINING = "training"
"""Key of the fact that says that the model's training has not finished; absent if it has."""
PERCENTILE, CLUSTERED = "bootstrap of patients", "DeLong, patients as clusters"

Line = tuple[tuple[str, ...], Mapping[str, Any]]
"""`KEYS` of one line of the CSV, and a cell with its `VALUES`."""


def compute(
    models: Mapping[str, Predictions],
    validation: Mapping[str, Predictions],
    facts: Mapping[str, Any],
    *,
    shortcuts: shortcut_scores.ByUnit | str = shortcut_scores.NOT_MEASURED,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Any]:
    """Computes every statistic of every model.

    Args:
        models: predictions by model, ours first, on the same test and hold-out images.
        validation: each model's predictions for choosing its operating points; may have no images.
        facts: about the data and our model, by name.
        shortcuts: scores that need no look for blood, for all of the images, or why there are none.
        resamples: bootstrap resamples of patients.
        seed: of the resampling.
        level: coverage of the intervals, in (0, 1).

    Returns:
        Plain JSON, None where undefined: "ours", "models", "facts", "bootstrap", "primary" (the hold-out, or
        else all sites), "data_sets", "undefined", "thresholds"; by data set "performance" and "delong" (as in
        `results.json`), "clinical" (see `clinical.sections`), "differences" and "delong_differences" of ours
        minus each other program; "rule", how our model calls a slice, and by data set "called", the shares
        of "normal" and of "bleeding" slices that it calls, each with a clustered interval; "shortcuts", see
        `shortcut_scores.section`.

    Raises:
        ValueError: there is no test or hold-out image, or two models were evaluated on different images.
    """
    ours, *others = models
    sets = results.data_sets(models)
    if not sets:
        raise ValueError(
            f"the predictions of {ours!r} have no image of the splits test and holdout: "
            "there is nothing to evaluate"
        )
    if len(set(sets) - set(hypothesis_tests.MULTI_SITE)) == 1:
        del sets[ALL_SITES]  # equals the only site, which would be tested twice
    thresholds = {name: youden_thresholds(validation[name]) for name in models}
    measured = resampling.resample_all(sets, thresholds, resamples=resamples, seed=seed)
    areas = {
        data: {name: label_areas(rows[name]) for name in models} for data, rows in sets.items()
    }
    pairs = {
        (data, other): (row[ours], row[other]) for data, row in areas.items() for other in others
    }
    table = results.performance(measured, level)
    sizes = {data: results.counts(rows) for data, rows in sets.items()}
    rule = call_rule.choose(validation[ours])
    unit = "studies" if BY_STUDY in facts else "slices"
    computed = {
        "format": 1,
        "rule": call_words.slice_rule(rule, unit),
        "called": {data: _called(rule, rows[ours], level) for data, rows in sets.items()},
        "ours": ours,
        "models": list(models),
        "facts": dict(facts),
        "bootstrap": {"resamples": resamples, "seed": seed, "level": level},
        "primary": results.primary_data_set(sets),
        "data_sets": sizes,
        "undefined": results.count_undefined(table, sets),
        "thresholds": results.by_label(thresholds),
        "performance": table,
        "delong": hypothesis_tests.auroc_intervals(areas, level),
        "clinical": {
            data: clinical.sections(rows, validation, level=level) for data, rows in sets.items()
        },
        "differences": {
            data: {name: gains.paired_difference(row[ours], row[name], level) for name in others}
            for data, row in measured.items()
        },
        "delong_differences": hypothesis_tests.holm_adjusted(
            pairs, level, [data for data, size in sizes.items() if size["too_few"]]
        ),
        "shortcuts": shortcut_scores.section(
            sets, shortcuts, resamples=resamples, seed=seed, level=level
        ),
    }
    return jsonable(computed)


def _called(rule: call_rule.Rule, data: Predictions, level: float) -> dict[str, Any]:
    calls = operating_points.calls_at(data, [t.value for t in rule.slices], level=level)
    normal, bleeding = (
        {end: getattr(calls.rates[rate], end)[ANY] for end in ("estimate", "low", "high")}
        for rate in ("specificity", "recall")
    )
    ends = (("estimate", "estimate"), ("low", "high"), ("high", "low"))
    return {"normal": {end: 1 - normal[other] for end, other in ends}, "bleeding": bleeding}


def as_csv(evaluation: Mapping[str, Any]) -> str:
    """One line a number, from the result of `compute`; the column `interval` names the method."""
    rows = ((*keys, *(cell.get(value) for value in VALUES)) for keys, cell in _lines(evaluation))
    return csv_table.text((*KEYS, *VALUES), rows)


def _lines(evaluation: Mapping[str, Any]) -> Iterator[Line]:
    for data in evaluation["data_sets"]:
        for model in evaluation["models"]:
            key = data, model, ""
            for statistic, labels in evaluation["performance"][data][model].items():
                for label, cell in labels.items():
                    yield (*key, statistic, label, PERCENTILE), cell
            for label, cell in evaluation["delong"][data][model].items():
                yield (*key, "auroc", label, CLUSTERED), cell
                naive = {"estimate": cell["estimate"]}
                naive |= {end: cell[f"naive_{end}"] for end in ("low", "high")}
                yield (*key, "auroc", label, "DeLong, naive"), naive
            yield from _clinical_lines(key, evaluation["clinical"][data], model)
        for kind, cell in evaluation["called"][data].items():
            key = data, evaluation["ours"], ""
            yield (*key, f"share of {kind} called", "any", "Wilson, patients as clusters"), cell
        for other, row in evaluation["differences"][data].items():
            key = data, evaluation["ours"], other
            for name, cell in row.items():
                yield (*key, *name.split("/"), PERCENTILE), cell
            for label, cell in evaluation["delong_differences"][data][other].items():
                yield (*key, "auroc", label, CLUSTERED), cell
    yield from shortcut_scores.lines(evaluation["shortcuts"])


def _clinical_lines(
    key: tuple[str, ...], sections: Mapping[str, Any], model: str
) -> Iterator[Line]:
    wilson = "Wilson, patients as clusters"
    for point, labels in sections["operating_points"][model].items():
        for label, cell in labels.items():
            yield (*key, f"threshold_at_{point}", label, ""), {"estimate": cell["threshold"]}
            for rate in ("precision", "recall", "specificity", "f1"):
                yield (*key, f"{rate}_at_{point}", label, wilson), cell[rate]
    for label, cell in sections["calibration"][model].items():
        for name in ("brier", "reliability", "resolution", "uncertainty", "ece", "ece_floor"):
            yield (*key, name, label, ""), {"estimate": cell[name]}
    yield (*key, "challenge_loss", "", ""), {"estimate": sections["challenge_loss"][model]}
    for how, models in sections["patients"].items():
        for label, cell in models[model].items():
            yield (*key, f"auroc of patients, {how}", label, CLUSTERED), cell
    for how, models in sections["patient_calibration"].items():
        for label, cells in models[model].items():
            for name, value in cells.items():
                yield (*key, f"{name} of patients, {how}", label, ""), {"estimate": value}


def render(evaluation: Mapping[str, Any]) -> str:
    """Renders the self-contained page of the result of `compute`."""
    return render_html(
        "labelled_scans.html",
        r=evaluation,
        answer=sentence(evaluation),
        called=called(evaluation),
        shortcut_warning=shortcut_scores.warning(evaluation),
        labels=list(LABELS),
        unit=_unit(evaluation),
        points=OPERATING_POINTS,
    )


def _unit(evaluation: Mapping[str, Any]) -> str:
    return "studies" if BY_STUDY in evaluation["facts"] else "slices"


def called(evaluation: Mapping[str, Any]) -> str:
    """The second line: which share of normal and of bleeding slices our model calls, at which threshold."""
    return call_words.called_shares(evaluation, _unit(evaluation))


def beside(evaluation: Mapping[str, Any]) -> list[str]:
    """What a shortcut would score next to our model on the primary data set, in sentences."""
    return shortcut_scores.sentences(evaluation, evaluation["ours"], evaluation["primary"])


def sentence(evaluation: Mapping[str, Any]) -> str:
    """The headline: our model's micro AUROC with its interval on the primary data set."""
    data, ours = evaluation["primary"], evaluation["ours"]
    cell, size = evaluation["delong"][data][ours]["micro"], evaluation["data_sets"][data]
    return (
        f"On {size['patients']} patients ({display_name(data)}, {size['slices']} {_unit(evaluation)}) the "
        f"{display_name(ours)} model reaches an AUROC of {fixed(cell['estimate'])} "
        f"({limits(cell)}) over all labels.{_unfinished(evaluation)}"
    )


def _unfinished(evaluation: Mapping[str, Any]) -> str:
    text = evaluation["facts"].get(TRAINING)
    return f" {text}" if text else ""
