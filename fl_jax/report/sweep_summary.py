"""Summarises a sweep: mean and standard error over seeds, and differences paired by seed.

    mean = sum_i v_i / n,   standard error = sqrt(sum_i (v_i - mean)^2 / (n - 1) / n)   over n seeds
    difference from the reference: the same for v_i - r_i; seed i fixes sites and initial parameters

| values | mean, standard error |
|---|---|
| one seed | the value, undefined |
| a value is undefined (diverged, or not applicable) | undefined, undefined |
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import scipy.stats
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fl_jax.files import csv_table
from fl_jax.report.formatting import markdown_table
from fl_jax.report.style import FEDERATED, INK, MUTED, RULE, drawing

Row = Mapping[str, Any]
"""`panel`, `name`, `chosen` settings, and `metrics`: a `summary` each, with `difference` from the panel's
reference row as another `summary`."""


def summary(values: Sequence[float | None]) -> dict[str, Any]:
    """Mean and standard error over seeds.

    Args:
        values: one a seed, at least one; None where undefined.

    Returns:
        `mean`, `standard_error` (None where undefined), and the `values`.
    """
    known = np.array([np.nan if v is None else v for v in values])
    mean = known.mean()
    error = scipy.stats.sem(known) if len(known) > 1 else np.nan
    defined = lambda x: float(x) if np.isfinite(x) else None  # noqa: E731
    return {"mean": defined(mean), "standard_error": defined(error), "values": list(values)}


def difference(values: Sequence[float | None], reference: Sequence[float | None]) -> dict[str, Any]:
    """The summary of `values - reference`, seed by seed."""
    pairs = zip(values, reference, strict=True)
    return summary([None if v is None or r is None else v - r for v, r in pairs])


def printed(value: Mapping[str, Any], *, sign: bool = False) -> str:
    """A summary to two digits of the error, at most four decimals: `0.9421 ± 0.0031`; a dash if undefined."""
    mean, error = value["mean"], value["standard_error"]
    if mean is None:
        return "–"
    if abs(mean) >= 1e5:  # a diverged loss
        return f"{mean:.0e}" if error is None else f"{mean:.0e} ± {error:.0e}"
    places = int(np.clip(1 - np.floor(np.log10(error)), 0, 4)) if error else 4
    text = f"{mean:{'+' if sign else ''}.{places}f}"
    return text if error is None else f"{text} ± {error:.{places}f}"


def as_markdown(rows: Sequence[Row], columns: Mapping[str, str], reference: str) -> str:
    """One table a panel, sorted by its first column, best first, without empty columns.

    If panels share their rows, a table of their first columns side by side comes first.

    Args:
        rows: see `Row`.
        columns: titles of the metrics to show.
        reference: name of each panel's reference row; empty for none.
    """
    parts = _side_by_side(rows, columns)
    for panel, group in _panels(rows).items():
        titles = _defined(group, columns)
        if not titles:
            continue
        first = next(iter(titles))
        header = ["", *titles.values(), "chosen"]
        if reference:
            header.insert(2, f"minus {reference}")
        lines = []
        for row in _ranked(group, first):
            cells = [row["name"], *(printed(row["metrics"][name]) for name in titles), _chosen(row)]
            if reference:
                gain = printed(row["metrics"][first]["difference"], sign=True)
                cells.insert(2, "" if row["name"] == reference else gain)
            lines.append(cells)
        parts.append((f"### {panel}\n\n" if panel else "") + markdown_table(header, lines))
    return "\n\n".join(parts) + "\n"


def _side_by_side(rows: Sequence[Row], columns: Mapping[str, str]) -> list[str]:
    panels, first = _panels(rows), next(iter(_defined(rows, columns)), None)
    if not first or not _same_rows([[row["name"] for row in group] for group in panels.values()]):
        return []
    cells = {(row["panel"], row["name"]): printed(row["metrics"][first]) for row in rows}
    names = dict.fromkeys(row["name"] for row in rows)
    lines = [[name, *(cells.get((panel, name), "") for panel in panels)] for name in names]
    return [markdown_table([columns[first], *panels], lines)]


def _same_rows(names: Sequence[Sequence[str]]) -> bool:
    """Whether there are several panels whose rows all occur in the longest one."""
    longest = max(names, key=len, default=[])
    return len(names) > 1 and all(set(other) <= set(longest) for other in names)


def as_csv(rows: Sequence[Row], columns: Mapping[str, str]) -> str:
    """Mean, standard error and difference of every metric, unrounded."""
    parts = ("mean", "standard_error")
    titles = [
        f"{name}_{prefix}{part}"
        for name in columns
        for prefix in ("", "difference_")
        for part in parts
    ]
    lines = []
    for row in rows:
        metrics = [row["metrics"][name] for name in columns]
        cells = [s[part] for m in metrics for s in (m, m["difference"]) for part in parts]
        seeds = len(metrics[0]["values"])
        lines.append([row["panel"], row["name"], seeds, *cells, _chosen(row)])
    return csv_table.text(["panel", "method", "seeds", *titles, "chosen"], lines)


def _panels(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Groups rows by panel, keeping the order of both."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row["panel"], []).append(row)
    return groups


def _defined(rows: Sequence[Row], columns: Mapping[str, str]) -> dict[str, str]:
    """The columns in which at least one row has a mean."""
    known = {name for row in rows for name in columns if _mean(row, name) > -np.inf}
    return {name: title for name, title in columns.items() if name in known}


def _ranked(rows: Sequence[Row], metric: str) -> list[Row]:
    """Sorts rows by a metric's mean, highest first, undefined last."""
    return sorted(rows, key=lambda row: _mean(row, metric), reverse=True)


def _mean(row: Row, metric: str) -> float:
    """-inf where undefined."""
    mean = row["metrics"][metric]["mean"]
    return -np.inf if mean is None else mean


def _chosen(row: Row) -> str:
    """The tuned settings, with a star at the edge of the grid."""
    edge = row.get("edge", ())
    return ", ".join(f"{k}={v}{'*' * (k in edge)}" for k, v in row["chosen"].items())


def draw(rows: Sequence[Row], columns: Mapping[str, str], reference: str) -> Figure:
    """Plots each panel's first column as dots with error bars; panels that share rows go side by side.

    Args:
        rows: see `Row`; rows without the metric are skipped.
        columns: titles of the metrics; the first that a panel has is drawn.
        reference: row whose mean becomes a vertical line; empty for none.
    """
    panels: dict[str, tuple[str, list[Row]]] = {}
    for panel, group in _panels(rows).items():
        if metric := next(iter(_defined(group, columns)), None):
            panels[panel] = (
                metric,
                [r for r in _ranked(group, metric) if _mean(r, metric) > -np.inf],
            )
    names = [[row["name"] for row in group] for _, group in panels.values()] or [[]]
    longest = max(names, key=len)
    shared = _same_rows(names)
    bars = [max(len(order), 1) for order in ([longest] if shared else names)]
    label_width = max(1.8, 0.4 + 0.07 * max(map(len, longest), default=0))
    width = label_width + 2.1 * len(panels) if shared else 6.6
    height = sum(0.85 + 0.23 * count for count in bars)
    with drawing():
        figure = Figure((width, height), layout="constrained", facecolor="white")
        axes = figure.subplots(
            nrows=len(bars),
            ncols=len(names) if shared else 1,
            squeeze=False,
            sharex=shared,
            sharey=shared,
            gridspec_kw={"height_ratios": bars},
        ).flat
        for ax, order, (panel, (metric, group)) in zip(axes, names, panels.items(), strict=False):
            _dots(ax, group, metric, longest if shared else order, reference)
            ax.set(title=panel, xlabel=columns[metric])
        note = "bars: two standard errors; grey: each seed"
        figure.supxlabel(note, fontsize=8, color=MUTED, x=0.99, ha="right")
    return figure


def _dots(ax: Axes, rows: Sequence[Row], metric: str, order: Sequence[str], reference: str) -> None:
    for row in rows:
        value, y = row["metrics"][metric], order.index(row["name"])
        strong = row["name"] == reference
        seeds = [v for v in value["values"] if v is not None]
        ax.plot(seeds, [y] * len(seeds), "o", color=MUTED, ms=3, alpha=0.45, mew=0)
        ax.errorbar(
            value["mean"],
            y,
            xerr=2 * (value["standard_error"] or 0),
            fmt="D" if strong else "o",
            color=INK if strong else FEDERATED,
            ms=5,
            capsize=2.5,
            lw=1.3,
        )
        if strong:
            ax.axvline(value["mean"], color=INK, lw=0.8, ls=(0, (4, 2)), zorder=0)
    ax.grid(axis="y", color=RULE)
    ax.set_axisbelow(True)
    ax.set_yticks(range(len(order)), order)
    ax.set_ylim(len(order) - 0.4, -0.6)
