"""AUROC at the own site, at the other sites and on the hold-out, with intervals by patient and seed.

Rows are runs of `fl_jax.experiment.runners.cohort`. All seeds are evaluated on the same patients and
resamples, so differences are paired; `fl_jax.evaluation.seed_variance` defines the intervals.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fl_jax.evaluation.bootstrap import Resampled, difference
from fl_jax.evaluation.internal_external import KINDS, NAMES, PLACES
from fl_jax.evaluation.seed_variance import Spread, spread
from fl_jax.files import atomic, csv_table

TITLES = {"own": "own site", "other": "other sites", "holdout": "unseen hold-out"}
Runs = Sequence[Mapping[str, Any]]
Rows = Mapping[str, tuple[Mapping[str, Any], Runs]]
Line = dict[str, dict[str, Spread]]
"""`auroc` by statistic, and `less` the reference, if there is one."""


def places(reference: str = "", kind: str = "macro") -> Callable[[Rows, Path], None]:
    """Makes the function that writes `table.csv` and `table.md` into a folder.

    Args:
        reference: the row, `PANEL/NAME`, for paired differences; empty for none. Without it among the
            rows, as with `--only`, there are no differences.
        kind: `'macro'` or `'micro'`, for the readable table; the CSV has both.
    """
    if kind not in KINDS:
        raise ValueError(f"kind={kind!r}: must be one of {', '.join(KINDS)}")

    def write(rows: Rows, folder: Path) -> None:
        lines_by_row = lines(rows, reference)
        atomic.write_text(folder / "table.csv", as_csv(lines_by_row))
        atomic.write_text(folder / "table.md", as_markdown(lines_by_row, reference, kind))

    return write


def lines(rows: Rows, reference: str) -> dict[str, Line]:
    """Every row's statistics over seeds, and their differences from the reference's, seed by seed."""
    return compared(rows, NAMES, "auroc", lambda title: "" if title == reference else reference)


def compared(
    rows: Rows, names: tuple[str, ...], measure: str, reference: Callable[[str], str]
) -> dict[str, Line]:
    """Every row's statistics over seeds, and their differences from its reference's, seed by seed.

    Args:
        rows: the runs of each row.
        names: the statistics of a run.
        measure: their name in a line, next to `less` for the differences.
        reference: maps a row's title to that of its reference; empty for none. There are no differences
            from a row that is not among the rows.
    """
    drawn = {title: [_resampled(run, names) for run in runs] for title, (_, runs) in rows.items()}
    lines_by_row: dict[str, Line] = {}
    for title, resampled in drawn.items():
        lines_by_row[title] = {measure: spread(resampled)}
        theirs = drawn.get(reference(title))
        if theirs:
            pairs = [difference(a, b) for a, b in zip(resampled, theirs, strict=True)]
            lines_by_row[title]["less"] = spread(pairs)
    return lines_by_row


def _resampled(run: Mapping[str, Any], names: tuple[str, ...]) -> Resampled:
    samples = np.array([run[f"{name}_samples"] for name in names], float)
    return Resampled(names, np.array([run[name] for name in names], float), samples)


def as_csv(lines_by_row: Mapping[str, Line]) -> str:
    """Each statistic's mean, limits and the deviation between seeds, unrounded."""
    header = ["row", "seeds", "measure", "statistic", "mean", "low", "high", "between_seeds"]
    rows = [
        [title, s.seeds, measure, name, s.mean, s.low, s.high, s.between]
        for title, line in lines_by_row.items()
        for measure, values in line.items()
        for name, s in values.items()
    ]
    return csv_table.text(header, rows)


def as_markdown(lines_by_row: Mapping[str, Line], reference: str, kind: str) -> str:
    """The three AUROCs of each row, and the hold-out difference from the reference."""
    compared = any("less" in line for line in lines_by_row.values())
    titles = ["", *(TITLES[place] for place in PLACES)]
    titles += [f"hold-out, less {reference}" for _ in range(compared)]
    rows = []
    for title, line in lines_by_row.items():
        cells = [title, *(shown(line["auroc"][f"{place}_{kind}"]) for place in PLACES)]
        if compared:
            less = line.get("less")
            cells.append(shown(less[f"holdout_{kind}"], sign=True) if less else "")
        rows.append(cells)
    return markdown(titles, rows)


def markdown(titles: Sequence[str], rows: Sequence[Sequence[str]], *, texts: int = 1) -> str:
    """A Markdown table, whose columns after the first `texts` are aligned to the right."""
    lines = [f"| {' | '.join(cells)} |" for cells in (titles, *rows)]
    lines.insert(1, "|---" * texts + "|--:" * (len(titles) - texts) + "|")
    return "\n".join(lines) + "\n"


def shown(value: Spread, *, sign: bool = False) -> str:
    """A mean with its interval, if it has one."""
    form = "+.3f" if sign else ".3f"
    if np.isnan(value.mean):
        return "–"
    text = f"{value.mean:{form}}"
    if np.isnan(value.low):
        return text
    return f"{text} ({value.low:{form}} to {value.high:{form}})"
