"""The survey of participants: a questionnaire, its answers, and how they are distributed.

`questionnaire.csv` has the columns `item,scale`. A scale lists its levels from lowest to highest, separated
by `|`, or is `text` for free text. The answers are a CSV as forms export it: one row a respondent, one column
an item, headed by the item's wording, and optionally a column `site`. An empty cell is a missing answer;
unknown columns, such as names or dates, are an error.

Pages show counts, and free text sorted and without its site: with few respondents, a site identifies a
person.

Reference: Robbins and Heiberger, Proc Survey Research Methods Section, ASA 2011; 1058-1066 (diverging bars).
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from markupsafe import Markup, escape
from matplotlib.figure import Figure

from fl_jax.files import csv_table
from fl_jax.report.style import MUTED, RULE, STYLE, svg

QUESTIONNAIRE = Path(__file__).parent / "questionnaire.csv"
TEXT, SITE = "text", "site"
WHITESPACE = dict.fromkeys(map(ord, "\n\r\t\u00a0\u202f"))
"""Whitespace allowed in answers that isprintable() rejects."""
LOW, MIDDLE, HIGH = ("#b35806", "#f1a340", "#fee0b6"), "#d9d9d9", ("#d8daeb", "#998ec3", "#542788")
"""Brewer's colour-blind-safe PuOr, dark at both ends."""
MAX_LEVELS = 2 * len(LOW) + 1


class Item(NamedTuple):
    """A question with its levels from lowest to highest, none for free text."""

    wording: str
    levels: tuple[str, ...]


def read_questionnaire(path: str | os.PathLike[str] = QUESTIONNAIRE) -> list[Item]:
    """Reads the questions.

    Raises:
        ValueError: with file, row and remedy: wrong header, an empty or repeated item, or a bad scale.
    """
    header, rows = _read_table(path)
    if header != ["item", "scale"]:
        raise ValueError(f"{path}, row 1: the header is {','.join(header)!r}; write item,scale")
    items: list[Item] = []
    for line, (wording, scale) in enumerate(rows, start=2):
        levels = () if scale == TEXT else tuple(level.strip() for level in scale.split("|"))
        if wording in ("", SITE, *(item.wording for item in items)):
            raise ValueError(f"{path}, row {line}: item is {wording!r}; give each its own wording")
        distinct = len(set(levels) - {""}) == len(levels)
        if scale != TEXT and not (distinct and 2 <= len(levels) <= MAX_LEVELS):
            raise ValueError(
                f"{path}, row {line}: scale is {scale!r}; write {TEXT}, or 2 to {MAX_LEVELS} levels "
                "from lowest to highest, such as disagree|neither|agree"
            )
        items.append(Item(wording, levels))
    return items


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
        ValueError: with file, row and remedy; see the module.
    """
    if not os.fspath(path):
        return None
    items = read_questionnaire() if items is None else items
    header, rows = _read_table(Path(path).expanduser())
    wordings = [item.wording for item in items]
    for name in header:
        if header.count(name) > 1 or name not in (SITE, *wordings):
            wrong = "duplicated" if header.count(name) > 1 else "not an item of the questionnaire"
            raise ValueError(f"{path}, row 1: column {name[:80]!r} is {wrong}; remove it")
    for wording in wordings:
        if wording not in header:
            raise ValueError(f"{path}, row 1: the item {wording!r} has no column; add an empty one")
    columns = dict(zip(header, zip(*rows, strict=True), strict=True))
    scales, texts = [], []
    for wording, levels in items:
        answers = [answer for answer in columns[wording] if answer]
        question = {"item": wording, "missing": len(rows) - len(answers)}
        if not levels:
            texts.append(question | {"answers": sorted(answers)})
            continue
        for line, answer in enumerate(columns[wording], start=2):
            if answer not in ("", *levels):
                raise ValueError(
                    f"{path}, row {line}: the answer to {wording!r} is {answer[:80]!r}; "
                    f"use one of {', '.join(levels)}, or leave it empty"
                )
        counts = [answers.count(level) for level in levels]
        scales.append(question | {"levels": list(levels), "counts": counts})
    sites = set(columns.get(SITE, ())) - {""}
    return {"respondents": len(rows), "sites": len(sites), "scales": scales, "texts": texts}


def _read_table(path: str | os.PathLike[str]) -> tuple[list[str], list[list[str]]]:
    """The header and the rows below it, with stripped cells."""
    with csv_table.rows(path) as lines:
        rows = [[cell.strip() for cell in row] for row in lines if row]
    if len(rows) < 2:
        raise ValueError(f"{path}: no rows below the header")
    for line, row in enumerate(rows, start=1):
        if len(row) != len(rows[0]):
            raise ValueError(
                f"{path}, row {line}: {len(row)} cells where the header has {len(rows[0])}; "
                "quote cells that contain a comma"
            )
        for cell in row:
            if not cell.translate(WHITESPACE).isprintable():
                raise ValueError(
                    f"{path}, row {line}: {cell[:80]!r} has control characters; remove them"
                )
    return rows[0], rows[1:]


def draw(levels: Sequence[str], items: Sequence[Mapping[str, Any]]) -> Figure:
    """Diverging bars, one an item, in per cent of its answers; a middle level is centred on 0.

    Args:
        levels: from lowest to highest.
        items: "scales" of `summarize` with these levels.
    """
    counts = np.array([item["counts"] for item in items], float)
    answered = counts.sum(axis=1, keepdims=True)
    share = 100 * counts / np.where(answered > 0, answered, 1)
    half, odd = divmod(len(levels), 2)
    start = -share[:, :half].sum(axis=1) - odd * share[:, half] / 2
    colours = [*LOW[:half], *[MIDDLE] * odd, *HIGH[len(HIGH) - half :]]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 0.95 + 0.62 * len(items)), layout="constrained")
        axes = figure.add_subplot()
        for level, colour in enumerate(colours):
            width = share[:, level]
            look = {"color": colour, "edgecolor": MUTED, "linewidth": 0.5, "height": 0.42}
            axes.barh(range(len(items)), width, left=start, label=levels[level], **look)
            text = (
                "#fffffe" if colour in (LOW[0], HIGH[-1]) else "#1c2025"
            )  # not the page's colours
            for row in np.flatnonzero(counts[:, level]).tolist():
                place = (start[row] + width[row] / 2, row, f"{counts[row, level]:.0f}")
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
    titles = [escape(f"Answers from {levels[0]} to {levels[-1]}") for levels in scales]
    return [
        Markup(svg(draw(levels, items), f"survey_{number}", str(title)))
        for number, ((levels, items), title) in enumerate(zip(scales.items(), titles, strict=True))
    ]
