"""What taking part was like: a questionnaire, its answers, and how they are spread.

The questionnaire is a CSV, `item,scale`: an item is its wording; a scale is its levels from the lowest up
with `|` between them, or `text` for free text. The answers are a CSV with a row a respondent, as forms export
them: a column for every item, headed by its wording, and a column `site` if that is asked.

    site,The software was easy to install at our site.,...,What made taking part difficult?
    alder,agree,...,"Getting hold of the labels."

| answers | outcome |
|---|---|
| an empty cell | counted as not answered |
| an item without a column, no row, a cell that is on no scale | an error |
| a column that is no item, such as a name or a date | an error |

Rows are counted with the header as the first. Answers are shown as counts, and free text without its site and
in alphabetical order: with few respondents a site is a person. What a text says of persons is for whoever
hands in the file to strike out.

Reference: Robbins and Heiberger, Proc Survey Research Methods Section, ASA 2011; 1058-1066 (diverging bars).
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure

from fl_jax.files import csv_table
from fl_jax.report.figures import MUTED, RULE, STYLE, svg

TEXT = "text"
BREAKS = dict.fromkeys(map(ord, "\n\r\t\u00a0\u202f"))
"""Blanks that a text may hold, and isprintable() does not count."""
SITE = "site"
LOW, MIDDLE, HIGH = ("#b35806", "#f1a340", "#fee0b6"), "#d9d9d9", ("#d8daeb", "#998ec3", "#542788")
"""Brewer's PuOr, from the outer to the inner levels and back, which colour-blind readers tell apart."""
MOST = 2 * len(LOW) + 1
"""Levels that there are shades for."""


class Item(NamedTuple):
    """A question; its levels from the lowest up, none for free text."""

    wording: str
    levels: tuple[str, ...]


def questionnaire(path: str | os.PathLike[str]) -> list[Item]:
    """Reads the questions.

    Args:
        path: CSV with the columns item and scale.

    Returns:
        The items in their order.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: with file, row and remedy: another header, an empty or repeated item, a scale of fewer
            than 2 or more than 7 levels, or with one twice.
    """
    header, rows = _table(path)
    if header != ["item", "scale"]:
        raise ValueError(f"{path}, row 1: the header is {','.join(header)!r}; write item,scale")
    items: list[Item] = []
    for line, (wording, scale) in enumerate(rows, start=2):
        levels = () if scale == TEXT else tuple(level.strip() for level in scale.split("|"))
        if not wording or wording == SITE or wording in [item.wording for item in items]:
            raise ValueError(f"{path}, row {line}: item is {wording!r}; give each its own wording")
        good = 2 <= len(levels) <= MOST and "" not in levels and len(set(levels)) == len(levels)
        if scale != TEXT and not good:
            raise ValueError(
                f"{path}, row {line}: scale is {scale!r}; write {TEXT}, or 2 to {MOST} levels from "
                "the lowest up, such as disagree|neither|agree"
            )
        items.append(Item(wording, levels))
    return items


def read(path: str | os.PathLike[str], items: Sequence[Item]) -> dict[str, Any]:
    """Reads and sums up the answers.

    Args:
        path: CSV of answers, a row a respondent.
        items: of `questionnaire`.

    Returns:
        "respondents"; "sites", how many were named; "scales": [{"item", "levels", "counts", "missing"}] with
        as many counts as levels; "texts": [{"item", "answers", "missing"}].

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: with file, row and remedy; see the module's table.
    """
    header, rows = _table(path)
    wordings = [item.wording for item in items]
    for name in header:
        if header.count(name) > 1 or name not in (SITE, *wordings):
            raise ValueError(
                f"{path}, row 1: column {name[:80]!r} is "
                f"{'doubled' if header.count(name) > 1 else 'no item of the questionnaire'}; take it out"
            )
    lacking = [wording for wording in wordings if wording not in header]
    if lacking:
        raise ValueError(f"{path}, row 1: the item {lacking[0]!r} has no column; add it, empty")
    columns = dict(zip(header, zip(*rows, strict=True), strict=True))
    found: dict[str, Any] = {
        "respondents": len(rows),
        "sites": len({site for site in columns.get(SITE, ()) if site}),
        "scales": [],
        "texts": [],
    }
    for wording, levels in items:
        given = [answer for answer in columns[wording] if answer]
        summary = {"item": wording, "missing": len(rows) - len(given)}
        if not levels:
            found["texts"].append(summary | {"answers": sorted(given)})
            continue
        for line, answer in enumerate(columns[wording], start=2):
            if answer and answer not in levels:
                raise ValueError(
                    f"{path}, row {line}: the answer to {wording!r} is {answer[:80]!r}; "
                    f"use one of {', '.join(levels)}, or leave it empty"
                )
        counts = [given.count(level) for level in levels]
        found["scales"].append(summary | {"levels": list(levels), "counts": counts})
    return found


def _table(path: str | os.PathLike[str]) -> tuple[list[str], list[list[str]]]:
    """The header and the rows below it, cells without blanks around them."""
    with csv_table.rows(path) as lines:
        rows = [[cell.strip() for cell in row] for row in lines if row]
    if len(rows) < 2:
        raise ValueError(f"{path}: no rows below the header")
    for line, row in enumerate(rows, start=1):
        if len(row) != len(rows[0]):
            raise ValueError(
                f"{path}, row {line}: {len(row)} cells where the header has {len(rows[0])}; "
                "put cells with a comma into quotes"
            )
        for cell in row:
            if not cell.translate(BREAKS).isprintable():
                raise ValueError(
                    f"{path}, row {line}: {cell[:80]!r} holds control characters; take them out"
                )
    return rows[0], rows[1:]


def scales(summary: Mapping[str, Any]) -> list[tuple[list[str], list[Mapping[str, Any]]]]:
    """The items of each scale, scales in their order: each is a picture of its own."""
    found: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for item in summary["scales"]:
        found.setdefault(tuple(item["levels"]), []).append(item)
    return [(list(levels), items) for levels, items in found.items()]


def draw(levels: Sequence[str], items: Sequence[Mapping[str, Any]]) -> Figure:
    """Diverging bars: half of the middle level, if there is one, stands on either side of 0.

    Args:
        levels: from the lowest up.
        items: of `read`, on that scale.

    Returns:
        A bar an item, in per cent of those who answered it; drawn without matplotlib's global state.
    """
    counts = np.array([item["counts"] for item in items], float)
    answered = counts.sum(axis=1, keepdims=True)
    share = 100 * counts / np.where(answered > 0, answered, 1)
    half = len(levels) // 2
    start = -share[:, :half].sum(axis=1) - (share[:, half] / 2 if len(levels) % 2 else 0)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 0.95 + 0.62 * len(items)), layout="constrained")
        axes = figure.add_subplot()
        for level, (name, colour) in enumerate(zip(levels, colours(len(levels)), strict=True)):
            width = share[:, level]
            edge = {"edgecolor": MUTED, "linewidth": 0.5}  # the outer shades fade into a dark page
            axes.barh(
                range(len(items)), width, left=start, height=0.42, color=colour, label=name, **edge
            )
            for row, (left, wide) in enumerate(zip(start, width, strict=True)):
                if counts[row, level]:
                    axes.text(
                        *(left + wide / 2, row, f"{counts[row, level]:.0f}"),
                        **{"ha": "center", "va": "center", "fontsize": 8.5},
                        color=_on(colour),
                    )
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


def colours(count: int) -> list[str]:
    """Of a scale of 2 to `MOST` levels: dark at both ends, grey in the middle of an odd number."""
    half = count // 2
    return [*LOW[:half], *([MIDDLE] if count % 2 else []), *HIGH[len(HIGH) - half :]]


def _on(colour: str) -> str:
    """Ink or white, whichever is read on a colour; not the page's, which changes in the dark."""
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return "#fffffe" if 0.299 * red + 0.587 * green + 0.114 * blue < 130 else "#1c2025"


def pictures(summary: Mapping[str, Any] | None) -> list[Markup]:
    """A figure a scale, for the page; none without answers."""
    found = []
    for number, (levels, items) in enumerate(scales(summary) if summary else []):
        title = str(Markup.escape(f"Answers from {levels[0]} to {levels[-1]}"))
        found.append(Markup(svg(draw(levels, items), f"survey_{number}", title)))
    return found
