"""The survey of participants: reads the answers to `questionnaire.csv`, counts and draws them.

The questionnaire has the columns `item,scale`; a scale is `text`, or its levels from lowest to highest,
separated by `|`. Answers are a CSV as forms export it: one row a respondent, one column an item, headed by
the item's wording, and optionally a column `site`. An empty cell is a missing answer; unknown columns, such
as names or dates, are an error.

The page shows counts and sorted free text, never sites: with few respondents, a site identifies a person.

Reference: Robbins and Heiberger, Proc Survey Research Methods Section, ASA 2011; 1058-1066 (diverging bars).
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure

from fl_jax.files import csv_table
from fl_jax.report.style import MUTED, RULE, drawing, svg

QUESTIONNAIRE = Path(__file__).parent / "questionnaire.csv"
TEXT, SITE = "text", "site"
WHITESPACE = dict.fromkeys(map(ord, "\n\r\t\u00a0\u202f"))
"""Whitespace allowed in answers that isprintable() rejects."""
MOST = 10_000
"""Respondents."""
LOW, MIDDLE, HIGH = ("#b35806", "#f1a340", "#fee0b6"), "#d9d9d9", ("#d8daeb", "#998ec3", "#542788")
"""Brewer's colour-blind-safe PuOr, dark at both ends: at most seven levels."""


class Item(NamedTuple):
    """A question with its levels from lowest to highest; none for free text."""

    wording: str
    levels: tuple[str, ...]


def read_questionnaire() -> list[Item]:
    """Reads `questionnaire.csv`."""
    with csv_table.rows(QUESTIONNAIRE) as lines:
        next(lines)
        return [Item(row[0], () if row[1] == TEXT else tuple(row[1].split("|"))) for row in lines]


def summarize(
    path: str | os.PathLike[str], items: Sequence[Item] | None = None
) -> dict[str, Any] | None:
    """Reads the answers and counts them.

    Args:
        path: CSV of answers; "" returns None.
        items: the questions; None takes those of `questionnaire.csv`.

    Returns:
        "respondents"; "sites", the number of different sites; "scales": [{"item", "levels", "counts",
        "missing"}]; "texts": [{"item", "answers", "missing"}].

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: with file, line and remedy; see the module.
    """
    if not os.fspath(path):
        return None
    items = read_questionnaire() if items is None else items
    columns = _read_answers(Path(path).expanduser(), items)
    respondents = sum(map(any, zip(*columns.values(), strict=True)))  # empty rows are nobody
    if not 0 < respondents <= MOST:
        raise ValueError(f"{path}: has {respondents} respondents, must have 1 to {MOST}")
    scales, texts = [], []
    for wording, levels in items:
        answers = [cell for cell in columns[wording] if cell]
        question = {"item": wording, "missing": respondents - len(answers)}
        if levels:
            counts = [answers.count(level) for level in levels]
            scales.append(question | {"levels": list(levels), "counts": counts})
        else:
            texts.append(question | {"answers": sorted(answers)})
    sites = {*columns.get(SITE, ())} - {""}
    return {"respondents": respondents, "sites": len(sites), "scales": scales, "texts": texts}


def _read_answers(path: Path, items: Sequence[Item]) -> csv_table.Columns:
    with csv_table.rows(path) as lines:
        header = next(lines, [])
    for at, name in enumerate(header):  # its text may be somebody's name
        if name not in (SITE, *(item.wording for item in items)):
            raise ValueError(
                f"{path}, line 1: column {at + 1} is not an item of the questionnaire; remove it"
            )
    remedy = "give each item a column, empty if it was not asked, and quote cells with a comma"
    columns = csv_table.read(path, [i.wording for i in items], optional=[SITE], remedy=remedy)
    columns = {name: [cell.strip() for cell in cells] for name, cells in columns.items()}
    for name in columns:
        csv_table.check(path, columns, name, _is_text, "remove its control characters")
    for wording, levels in items:
        if levels:
            known = ("", *levels)
            remedy = f"use one of {', '.join(levels)}, or leave it empty"
            csv_table.check(path, columns, wording, known.__contains__, remedy)
    return columns


def _is_text(cell: str) -> bool:
    return cell.translate(WHITESPACE).isprintable()


def draw(levels: Sequence[str], items: Sequence[Mapping[str, Any]]) -> Figure:
    """Diverging bars, one an item, in per cent of its answers; a middle level is centred on 0.

    Args:
        levels: from lowest to highest.
        items: "scales" of `summarize` with these levels.
    """
    counts = np.array([item["counts"] for item in items], float)
    share = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    half, odd = divmod(len(levels), 2)
    start = -share[:, :half].sum(axis=1) - odd * share[:, half] / 2
    colours = [*LOW[:half], *[MIDDLE] * odd, *HIGH[len(HIGH) - half :]]
    with drawing():
        figure = Figure(figsize=(6.4, 0.95 + 0.62 * len(items)), layout="constrained")
        axes = figure.add_subplot()
        style = {"edgecolor": MUTED, "linewidth": 0.5, "height": 0.42}
        for count, width, level, colour in zip(counts.T, share.T, levels, colours, strict=True):
            axes.barh(range(len(items)), width, left=start, label=level, color=colour, **style)
            # Not exactly the page's colours, which follow it into dark mode.
            text = "#fffffe" if colour in (LOW[0], HIGH[-1]) else "#1c2025"
            for row in np.flatnonzero(count).tolist():
                place = (start[row] + width[row] / 2, row, f"{count[row]:.0f}")
                axes.text(*place, ha="center", va="center", fontsize=8.5, color=text)
            start = start + width
        for row, item in enumerate(items):
            axes.text(-100, row - 0.34, item["item"], fontsize=9, ha="left", va="center")
        axes.axvline(0, color=RULE, linewidth=0.8, zorder=0)
        axes.set(xlim=(-102, 102), ylim=(len(items) - 0.6, -0.6), yticks=[])
        axes.set_xticks([-100, -50, 0, 50, 100], ["100", "50", "0", "50", "100"])
        axes.set_xlabel("% of answers; numbers are respondents")
        axes.spines["left"].set_visible(False)
        figure.legend(loc="outside lower center", ncols=len(levels), frameon=False, fontsize=8.5)
    return figure


def figures(summary: Mapping[str, Any] | None) -> list[Markup]:
    """One figure a scale as SVG; none without answers."""
    scales: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for item in summary["scales"] if summary else ():
        scales.setdefault(tuple(item["levels"]), []).append(item)
    titles = [f"Answers from {levels[0]} to {levels[-1]}" for levels in scales]
    drawn = [draw(levels, items) for levels, items in scales.items()]
    return [
        Markup(svg(figure, f"survey_{number}", title))
        for number, (figure, title) in enumerate(zip(drawn, titles, strict=True))
    ]
