"""The figures of the page, drawn by matplotlib from `results.json` alone, without pyplot's global state."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from fl_jax.core.types import LABELS
from fl_jax.data.site_names import HOLDOUT
from fl_jax.report.gains import TOO_FEW
from fl_jax.report.style import (
    FEDERATED,
    MUTED,
    PAPER,
    RULE,
    SITES,
    LineStyle,
    drawing,
    line_styles,
)

MICRO_AND_LABELS = ("micro", *LABELS)


def draw(results: Mapping[str, Any]) -> dict[str, Figure]:
    """Draws every figure that the results have data for.

    Args:
        results: `results.json`, read back (null where undefined).

    Returns:
        Figures by name: gain; roc_, precision_recall_ and calibration_<label or micro>; loss, auroc and
        site_loss.
    """
    with drawing():
        figures = {"gain": _gain(results)} if results["gains"] else {}
        for kind in ("roc", "precision_recall"):
            if results[kind]:
                for label in MICRO_AND_LABELS:
                    figures[f"{kind}_{label}"] = _curve(results, kind, label)
        if {"federated", "central"} & set(results["calibration"]):
            for label in MICRO_AND_LABELS:
                figures[f"calibration_{label}"] = _calibration(results, label)
        if results["learning"]:
            figures["loss"] = _learning(results, "loss", "Training loss")
            figures["auroc"] = _learning(results, "val_macro_auroc", "Validation macro AUROC")
        if any(row.get("site_loss") for row in results["learning"].get("federated", ())):
            figures["site_loss"] = _site_loss(results)
    return figures


def _axes(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def _unit_square(label: str) -> tuple[Figure, Axes]:
    figure, axes = _axes(2.75, 2.85)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes.set_title("all labels" if label == "micro" else label)
    return figure, axes


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _curve(results: Mapping[str, Any], kind: str, label: str) -> Figure:
    """ROC or precision-recall curves of one label, with bands for federated and central."""
    figure, axes = _unit_square(label)
    roc = kind == "roc"
    statistic = "auroc" if roc else "average_precision"
    guess = [0, 1] if roc else [_prevalence(results, label)] * 2
    axes.plot([0, 1], guess, color=RULE, linewidth=0.8, zorder=1)
    styles = line_styles(results["models"])
    table = results["performance"][results["primary"]["data"]]
    for number, (model, curves) in enumerate(reversed(results[kind].items())):
        points = curves[label]
        steps = "default" if roc else "steps-pre"
        axes.plot(points["x"], points["y"], drawstyle=steps, **styles[model])
        if model in ("federated", "central") and points["low"]:
            grid = np.linspace(0, 1, len(points["low"]))
            shade = {"color": styles[model]["color"], "alpha": 0.16, "linewidth": 0}
            axes.fill_between(grid, points["low"], points["high"], zorder=1.5, **shade)
        area = table[model][statistic][label]["estimate"]
        text = "undefined" if area is None else f"{area:.3f}"
        _key(axes, 0.05 + 0.085 * number, styles[model], text, right=roc)
    _behind_keys(axes, len(results[kind]), right=roc)
    axes.set(
        xlabel="1 − specificity" if roc else "recall", ylabel="sensitivity" if roc else "precision"
    )
    return figure


def _key(axes: Axes, y: float, style: LineStyle, text: str, *, right: bool) -> None:
    """Prints a curve's area in a corner, next to a sample of its line."""
    left = 0.58 if right else 0.03
    line = {key: style[key] for key in ("color", "linestyle", "linewidth")}
    at = {"transform": axes.transAxes, "zorder": 7}
    axes.plot([left, left + 0.14], [y + 0.025] * 2, **line, **at)
    axes.text(left + 0.18, y, text, va="baseline", fontsize=9.5, **at)


def _behind_keys(axes: Axes, count: int, *, right: bool) -> None:
    """Hides the curves behind the keys."""
    at = {"transform": axes.transAxes, "zorder": 6}
    paper = {"facecolor": PAPER, "edgecolor": "none", "alpha": 0.85}
    corner = (0.56 if right else 0.01, 0.025)
    axes.add_patch(Rectangle(corner, 0.42, 0.085 * count + 0.01, **paper, **at))


def _prevalence(results: Mapping[str, Any], label: str) -> float:
    """The precision of random guessing: the share of positive slices or, for micro, of positive labels."""
    counts = results["data_sets"][results["primary"]["data"]]
    if label == "micro":
        return sum(counts["positives"].values()) / (counts["slices"] * len(LABELS))
    return counts["positives"][label] / counts["slices"]


def _calibration(results: Mapping[str, Any], label: str) -> Figure:
    """Reliability curves of federated and central."""
    figure, axes = _unit_square(label)
    axes.plot([0, 1], [0, 1], color=RULE, linewidth=0.8, zorder=1)
    styles = line_styles(results["models"])
    for model in ("federated", "central"):
        if model not in results["calibration"]:
            continue
        curve = results["calibration"][model][label]["curve"]
        x, y, low, high = (
            np.array([_number(value) for value in curve[key]])
            for key in ("predicted", "estimate", "low", "high")
        )
        style = styles[model]
        axes.vlines(x, low, high, color=style["color"], linewidth=1, alpha=0.7)
        axes.plot(x, y, marker="o", markersize=3, **{**style, "linewidth": 1.2})
    axes.set(xlabel="predicted probability", ylabel="observed frequency")
    return figure


def _gain(results: Mapping[str, Any]) -> Figure:
    """Forest plot of federated minus local, on each site's test patients and on the hold-out."""
    sites = list(results["gains"])
    kinds = _kinds(results)
    figure, axes = _axes(5.2, 0.9 + (0.2 + 0.16 * len(kinds)) * len(sites))
    axes.axvline(0, color=MUTED, linewidth=0.8, zorder=1)
    for number, (key, style) in enumerate(kinds.items()):
        shift = 0.27 * ((len(kinds) - 1) / 2 - number)
        for row, site in enumerate(reversed(sites)):
            gain = results["gains"][site].get(key)
            if gain is None:
                continue
            gain = gain.get("own", gain)[results["primary"]["statistic"]]
            middle, low, high = (_number(gain[end]) for end in ("estimate", "low", "high"))
            few = key != HOLDOUT and results["data_sets"][site]["too_few"]
            if not few:
                line = {"color": style["color"], "linewidth": 1.5, "zorder": 2}
                axes.plot([low, high], [row + shift] * 2, **line)
            shown = {**style, "alpha": 0.35} if few else style
            axes.plot([middle], [row + shift], zorder=3, linestyle="", **shown)
    sizes = {site: results["data_sets"][site] for site in reversed(sites)}
    names = [
        f"{site} ({size['patients']})" + (f"\n{TOO_FEW}" if size["too_few"] else "")
        for site, size in sizes.items()
    ]
    axes.set_yticks(range(len(sites)), names)
    axes.set_ylim(-0.6, len(sites) - 0.4)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")
    axes.set_axisbelow(True)
    axes.set_xlabel("AUROC, federated − local (right of 0: the hospital gains)")
    return figure


def _kinds(results: Mapping[str, Any]) -> dict[str, LineStyle]:
    """Marker and legend label of each kind of gain, by its key."""
    holdout = {"marker": "o", "markersize": 5, "color": MUTED, "markerfacecolor": PAPER}
    shared = {"marker": "s", "markersize": 6, "color": FEDERATED}
    if "personal" not in results["models"]:
        return {
            "own": {**shared, "label": "its own test patients"},
            HOLDOUT: {**holdout, "label": "hold-out"},
        }
    colour = line_styles(results["models"])["personal"]["color"]
    return {
        "personal": {
            **{"marker": "D", "markersize": 5.5, "color": colour},
            "label": "personalised model, its own test patients",
        },
        "own": {**shared, "label": "global model, its own test patients"},
        HOLDOUT: {**holdout, "label": "global model, hold-out"},
    }


def _learning(results: Mapping[str, Any], key: str, title: str) -> Figure:
    figure, axes = _axes(4.1, 2.9)
    styles = line_styles(results["models"])
    for model, rows in results["learning"].items():
        x = np.cumsum([_number(row.get("examples")) for row in rows])  # counts are by round
        y = [_number(row.get(key)) for row in rows]
        axes.plot(x, y, **styles[model])
        best = results["done"].get(model, {}).get("best_round")
        selected = [i for i, row in enumerate(rows) if row["round"] == best]
        if selected:
            dot = {"zorder": 5, "markersize": 4.5, "color": styles[model]["color"]}
            axes.plot([x[selected[0]]], [y[selected[0]]], marker="o", **dot)
    axes.set_title(title)
    axes.set_xlabel("training examples seen")
    axes.xaxis.set_major_formatter(_thousands)
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    return figure


def _thousands(value: float, position: float) -> str:
    del position
    return f"{value / 1000:g}k" if value else "0"


def _site_loss(results: Mapping[str, Any]) -> Figure:
    figure, axes = _axes(4.1, 2.9)
    styles = line_styles(results["models"])
    rows = results["learning"]["federated"]
    sites = sorted({site for row in rows for site in row.get("site_loss") or {}})
    for number, site in enumerate(sites):
        style = styles.get(f"local_{site}", {"color": SITES[number % len(SITES)], "linewidth": 1.3})
        loss = [_number((row.get("site_loss") or {}).get(site)) for row in rows]
        marker = {"marker": ".", "markersize": 4}  # shows a round between two that the site missed
        axes.plot([row["round"] for row in rows], np.array(loss), **marker, **style)
    axes.set_title("Federated training loss by hospital")
    axes.set_xlabel("round")
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    return figure
