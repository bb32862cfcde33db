"""The table of `configs/as_published.py`: flaw, as published, done right, difference with its interval."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from fl_jax.evaluation.bootstrap import Resampled
from fl_jax.evaluation.seed_variance import Spread, spread
from fl_jax.files import atomic, csv_table
from fl_jax.files.atomic import atomic_open
from fl_jax.files.jsonable import jsonable
from fl_jax.report.style import FEDERATED, INK, MUTED, drawing
from launch.sweep.tables.places import Rows, Runs, markdown

MEASURES = {
    "image_level_split": "AUROC on its test slices",
    "unequal_budgets": "federated - central AUROC",
    "silent_zero_images": "AUROC on the files as read",
    "local_from_federated": "federated - local AUROC",
    "naive_intervals": "width of the AUROC's interval",
    "bleed_free_weights": "AUROC",
}
"""The measure that each flaw changes."""
COVERAGE = ("coverage_published", "coverage_right")
NUMBERS = ("published", "right", "difference", "low", "high")


def flaw_costs() -> Callable[[Rows, Path], None]:
    """Makes the function that writes `table.csv`, `table.md` and `figure.png` into a folder."""
    return _write


def costs(title: str, settings: Mapping[str, Any], runs: Runs) -> dict[str, Any]:
    """One line of the table.

    Args:
        title: the row's.
        settings: of the row; the one switch that is on selects the measure.
        runs: the results of each seed.

    Returns:
        `flaw`, `measure`, `seeds`, `NUMBERS` with and without `untouched_`, and `COVERAGE`: means over
        seeds; None where the flaw has no such number. The 95 % interval covers patients and seeds, see
        `fl_jax.evaluation.seed_variance`; with one seed there is none.
    """
    measure = next(MEASURES[name] for name in MEASURES if settings[name])
    line: dict[str, Any] = {"flaw": title, "measure": measure, "seeds": len(runs)}
    for prefix in ("", "untouched_"):
        there = [run for run in runs if f"{prefix}samples" in run]
        difference = _spread(there, prefix) if there else None
        for name in NUMBERS:
            line[prefix + name] = None
        if difference:
            for name in ("published", "right"):
                line[prefix + name] = float(np.mean([run[prefix + name] for run in runs]))
            line |= {
                f"{prefix}difference": difference.mean,
                f"{prefix}low": jsonable(difference.low),
                f"{prefix}high": jsonable(difference.high),
            }
    for name in COVERAGE:
        line[name] = float(np.mean([r[name] for r in runs])) if name in runs[0] else None
    return line


def _spread(runs: Runs, prefix: str) -> Spread:
    samples = [np.array(run[f"{prefix}samples"], float)[None] for run in runs]
    estimates = [np.array([run[f"{prefix}difference"]]) for run in runs]
    pairs = zip(estimates, samples, strict=True)
    return spread([Resampled(("difference",), *pair) for pair in pairs])["difference"]


def as_csv(lines: Sequence[Mapping[str, Any]]) -> str:
    """The lines of `costs`, unrounded."""
    return csv_table.text([*lines[0]], [[*line.values()] for line in lines])


def as_markdown(lines: Sequence[Mapping[str, Any]]) -> str:
    """The lines of `costs` with three decimals, and a sentence on coverage."""
    titles = ("Flaw", "What is printed", "As published", "Done right", "Difference (95 % CI)")
    titles = (*titles, "Untouched patients: difference (95 % CI)")
    rows, coverage = [], []
    for line in lines:
        numbers = [f"{line[name]:.3f}" for name in ("published", "right")]
        cells = [line["flaw"], line["measure"], *numbers, _shown(line, ""), ""]
        if line["untouched_difference"] is not None:
            cells[-1] = _shown(line, "untouched_")
        rows.append(cells)
        if line[COVERAGE[0]] is not None:
            both = " as published, ".join(f"{line[name]:.1%}" for name in COVERAGE)
            coverage.append(
                f"\n{line['flaw']}: a 95 % interval holds the AUROC in {both} done right.\n"
            )
    return "".join([markdown(titles, rows, texts=2), *coverage])


def _shown(line: Mapping[str, Any], prefix: str) -> str:
    text = f"{line[f'{prefix}difference']:+.3f}"
    if line[f"{prefix}low"] is None:
        return text
    return f"{text} ({line[f'{prefix}low']:+.3f} to {line[f'{prefix}high']:+.3f})"


def draw(lines: Sequence[Mapping[str, Any]]) -> Figure:
    """Draws each flaw's difference with its interval, as printed and on untouched patients."""
    with drawing():
        figure = Figure((6.6, 0.9 + 0.5 * len(lines)), layout="constrained", facecolor="white")
        ax = figure.subplots()
        ax.axvline(0, color=MUTED, lw=0.8)
        kinds = (("", "what is printed", FEDERATED, "o", -0.12),)
        kinds = (*kinds, ("untouched_", "on untouched patients", INK, "D", 0.16))
        for prefix, label, colour, marker, shift in kinds:
            there = [(at, r) for at, r in enumerate(lines) if r[f"{prefix}difference"] is not None]
            middle = np.array([row[f"{prefix}difference"] for _, row in there], float)
            ends = [[row[prefix + end] for _, row in there] for end in ("low", "high")]
            low, high = np.array(ends, float)
            ax.errorbar(
                middle,
                [at + shift for at, _ in there],
                xerr=np.nan_to_num([middle - low, high - middle]),
                fmt=marker,
                color=colour,
                ms=5,
                capsize=2.5,
                lw=1.3,
                label=label,
            )
        ax.set_yticks(range(len(lines)), [f"{r['flaw']}\n{r['measure']}" for r in lines])
        ax.set_ylim(len(lines) - 0.5, -0.5)
        ax.set_xlabel("as published less done right, 95 % interval")
        figure.legend(loc="outside upper right", ncols=2, fontsize=8)
    return figure


def _write(rows: Rows, folder: Path) -> None:
    lines = [costs(title, settings, runs) for title, (settings, runs) in rows.items()]
    atomic.write_text(folder / "table.csv", as_csv(lines))
    atomic.write_text(folder / "table.md", as_markdown(lines))
    with atomic_open(folder / "figure.png", "wb") as file:
        draw(lines).savefig(file, dpi=110)
