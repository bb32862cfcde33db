"""The section "What a shortcut would score": shortcuts and models on all pairs, and on pairs of like area."""

from collections.abc import Iterator, Mapping
from typing import Any

from fl_jax.data.site_names import ALL_SITES, HOLDOUT
from fl_jax.evaluation import patient_level, shortcuts
from fl_jax.evaluation.predictions import Predictions
from fl_jax.evaluation.shortcuts import SOLVED, Shortcuts
from fl_jax.evaluation.tissue import Tissue
from fl_jax.report.formatting import display_name, fixed, limits, percent, singular

PATIENTS = "patients"
NOT_MEASURED = "the slices' tissue was not measured"

ByUnit = Mapping[str, Shortcuts]
"""Shortcut scores by unit: of "slices" or "studies", as the predictions are, and of `PATIENTS`."""


def by_unit(
    tissue: Tissue, patient: Mapping[str, str], study: Mapping[str, str] | None = None
) -> ByUnit:
    """The shortcut scores of slices, or studies, and of patients.

    Args:
        tissue: of slices.
        patient: each slice's patient, by image.
        study: each slice's study, by image; None for predictions of slices.
    """
    images = tissue.image.tolist()
    whole = shortcuts.by_unit(tissue, [patient[image] for image in images])
    if study is None:
        return {"slices": shortcuts.by_slice(tissue), PATIENTS: whole}
    of_studies = shortcuts.by_unit(tissue, [study[image] for image in images])
    return {"studies": of_studies, PATIENTS: whole}


def section(
    sets: Mapping[str, Mapping[str, Predictions]],
    scores: ByUnit | str,
    *,
    resamples: int,
    seed: int,
    level: float,
) -> dict[str, Any]:
    """Computes the section.

    Args:
        sets: predictions by [data set][model]; of several, the pooled ones and the hold-out are used.
        scores: of `by_unit`, for all of their slices; or why there are none.
        resamples: bootstrap resamples of patients.
        seed: of the resampling.
        level: coverage of the intervals.

    Returns:
        "missing", why there are no numbers, or None; "data_sets" by [data set][unit], see
        `shortcuts.section`. A patient's score by a model is the largest of its slices.
    """
    if isinstance(scores, str):
        return {"missing": scores, "data_sets": {}}
    wanted = [name for name in (HOLDOUT, ALL_SITES) if name in sets] or [*sets]
    table: dict[str, Any] = {}
    for name in wanted:
        for unit, given in scores.items():
            models = dict(sets[name])
            if unit == PATIENTS:
                models = {model: patient_level.aggregate(data) for model, data in models.items()}
            table.setdefault(name, {})[unit] = shortcuts.section(
                models, given, resamples=resamples, seed=seed, level=level
            )
    return {"missing": None, "data_sets": table}


def sentences(results: Mapping[str, Any], model: str, data: str) -> list[str]:
    """What shortcuts and a model score for any hemorrhage on one data set, one sentence a unit.

    Args:
        results: with "shortcuts" as `section` computes it, read back (null where undefined).
        model: the model.
        data: the data set.

    Returns:
        Sentences; a warning follows where a shortcut solves the data.
    """
    section = results["shortcuts"]
    if section["missing"]:
        return [f"What a shortcut would score is unknown: {section['missing']}."]
    lines = []
    for unit, row in section["data_sets"].get(data, {}).items():
        scores = (f"{name} {_cell(row['auroc'][name]['any'])}" for name in row["shortcuts"])
        lines.append(
            f"A shortcut, by {singular(unit)}, would reach an AUROC for any hemorrhage of: "
            f"{'; '.join(scores)}. The {display_name(model)} model reaches "
            f"{_cell(row['auroc'][model]['any'])}{_like(row, model, unit)}."
        )
    solved = warning(results, data)
    return [*lines, solved] if solved else lines


def _like(row: Mapping[str, Any], model: str, unit: str) -> str:
    if "any" in row["undefined"]:
        return f", and there is no pair of {unit} of like area ({row['undefined']['any']})"
    return (
        f", and {_cell(row['matched'][model]['any'])} on pairs of {unit} whose areas of soft tissue "
        f"differ by at most {percent(row['tolerance'])}"
    )


def warning(results: Mapping[str, Any], only: str | None = None) -> str:
    """Names the shortcuts that solve a data set to a good part; empty if none does.

    Args:
        results: see `sentences`.
        only: the data set; None for all.
    """
    parts = [
        f"{display_name(data)}, by {singular(unit)}: "
        + ", ".join(
            f"{name} {fixed(row['auroc'][name]['any']['estimate'])}" for name in row["solved"]
        )
        for data, units in results["shortcuts"]["data_sets"].items()
        for unit, row in units.items()
        if row["solved"] and only in (None, data)
    ]
    if not parts:
        return ""
    return (
        f"A shortcut solves these data to a good part, with an AUROC for any hemorrhage beyond {SOLVED:.2f} "
        f"(or below {1 - SOLVED:.2f}): {'; '.join(parts)}. There a model's AUROC over all pairs does not "
        "show that it looks for blood: compare it with the shortcut's, and on pairs of like area."
    )


def _cell(cell: Mapping[str, Any]) -> str:
    return f"{fixed(cell['estimate'])} ({limits(cell)})"


def lines(section: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    """(data set, model or shortcut, "", statistic, label, interval) and the cell of every number."""
    for data, units in section["data_sets"].items():
        for unit, row in units.items():
            for statistic, interval, title in (
                ("auroc", "DeLong, patients as clusters", f"auroc of {unit}"),
                ("matched", "bootstrap of patients", f"auroc on pairs of {unit} of like area"),
            ):
                for name, cells in row[statistic].items():
                    for label, cell in cells.items():
                        yield (data, name, "", title, label, interval), cell
