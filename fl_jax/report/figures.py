"""The report's figures, drawn by matplotlib from the results alone, without its global state.

Each model keeps one colour and dash in all figures: of Okabe and Ito's palette, which colour-blind readers
tell apart. The federation is blue, pooled training is ink, each hospital has its own.

Reference: Okabe and Ito, Color Universal Design, 2008.
"""

import io
import re
from collections.abc import Mapping
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from fl_jax.core.types import LABELS
from fl_jax.data.site_names import HOLDOUT

INK, MUTED, RULE, PAPER = "#1c2024", "#60656c", "#d8dbdf", "#ffffff"
FEDERATED = "#0072b2"
SITES = ("#d55e00", "#009e73", "#cc79a7", "#e69f00", "#7d858d")
DASHES = ("-", (0, (4, 1.5)), (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5)))
VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    RULE: "--rule",
    PAPER: "--paper",
    FEDERATED: "--federated",
    **{colour: f"--site-{number}" for number, colour in enumerate(SITES)},
}
"""The page's CSS variable of each colour, so that a figure follows the page into dark mode."""
STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 9.5,
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "svg.fonttype": "none",
    "text.parse_math": False,  # a site's name may hold a dollar sign
}

Style = dict[str, Any]


def styles(models: list[str]) -> dict[str, Style]:
    """Colour, dash and width of each model's line.

    Args:
        models: in the order of the results.

    Returns:
        Keyword arguments of a matplotlib line, by model; its label is the model, for a legend.
    """
    others = [model for model in models if model not in ("federated", "central")]
    found: dict[str, Style] = {
        "federated": {"color": FEDERATED, "linestyle": "-", "linewidth": 2.2, "zorder": 4},
        "central": {"color": INK, "linestyle": DASHES[1], "linewidth": 1.6, "zorder": 3},
    }
    for number, model in enumerate(others):
        dash = DASHES[(number // len(SITES)) % len(DASHES)]
        colour = SITES[number % len(SITES)]
        found[model] = {"color": colour, "linestyle": dash, "linewidth": 1.3, "zorder": 2}
    return {model: {**found[model], "label": model} for model in models}


def draw(results: Mapping[str, Any]) -> dict[str, Figure]:
    """All figures of a study.

    Args:
        results: of `results.compute`, as JSON has them (null for undefined).

    Returns:
        Figures by name: gain; roc_, precision_recall_ and calibration_<label or micro>; loss, auroc and
        site_loss; those without data are absent.
    """
    with matplotlib.rc_context(STYLE):
        figures = {"gain": _gain(results)} if results["gains"] else {}
        for kind in ("roc", "precision_recall"):
            if results[kind]:
                for label in ("micro", *LABELS):
                    figures[f"{kind}_{label}"] = _curve(results, kind, label)
        if {"federated", "central"} & set(results["calibration"]):
            for label in ("micro", *LABELS):
                figures[f"calibration_{label}"] = _calibration(results, label)
        if results["learning"]:
            figures["loss"] = _learning(results, "loss", "Training loss")
            figures["auroc"] = _learning(results, "val_macro_auroc", "Validation macro AUROC")
        if any(row.get("site_loss") for row in results["learning"].get("federated", ())):
            figures["site_loss"] = _site_loss(results)
    return figures


def svg(figure: Figure, name: str, title: str) -> str:
    """A figure as inline SVG that takes its colours and typeface from the page.

    Args:
        figure: drawn in this module's colours.
        name: makes the identifiers inside the SVG unlike those of other figures on the page.
        title: what a screen reader says.

    Returns:
        An `<svg>` element; the same bytes for the same figure.
    """
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": name}):
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
    body = text.getvalue()
    body = body[body.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>\s*", "", body, flags=re.DOTALL)
    # matplotlib names groups figure_1, axes_1, ... in every file; identifiers must be unique on a page.
    body = re.sub(r'<g id="[^"]*">', "<g>", body)
    box = re.search(r'viewBox="([^"]*)"', body)
    width = float(box[1].split()[2]) if box else 0.0
    body = re.sub(
        r"<svg[^>]*>",
        f'<svg viewBox="{box[1] if box else ""}" style="max-width:{width * 4 / 3:.0f}px" role="img" '
        f'aria-label="{title}" xmlns:xlink="http://www.w3.org/1999/xlink">',
        body,
        count=1,
    )
    for colour, variable in VARIABLES.items():
        body = body.replace(colour, f"var({variable})")
    return re.sub(r"font-family:[^;\"]*;? ?", "", body)


def _axes(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _curve(results: Mapping[str, Any], kind: str, label: str) -> Figure:
    """ROC or precision-recall curves of one label, with the bands of the two models that are compared."""
    figure, axes = _axes(2.75, 2.85)
    roc = kind == "roc"
    statistic = "auroc" if roc else "average_precision"
    guess = [0, 1] if roc else [_prevalence(results, label)] * 2
    axes.plot([0, 1], guess, color=RULE, linewidth=0.8, zorder=1)
    look = styles(results["models"])
    table = results["performance"][results["primary"]["data"]]
    for row, (model, curves) in enumerate(reversed(results[kind].items())):
        drawn = curves[label]
        steps = "default" if roc else "steps-pre"
        axes.plot(drawn["x"], drawn["y"], drawstyle=steps, **look[model])
        if model in ("federated", "central") and drawn["low"]:
            grid = np.linspace(0, 1, len(drawn["low"]))
            shade = {"color": look[model]["color"], "alpha": 0.16, "linewidth": 0}
            axes.fill_between(grid, drawn["low"], drawn["high"], zorder=1.5, **shade)
        area = table[model][statistic][label]["estimate"]
        text = "undefined" if area is None else f"{area:.3f}"
        _key(axes, 0.05 + 0.085 * row, look[model], text, right=roc)
    _behind_keys(axes, len(results[kind]), right=roc)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes.set_title("all labels pooled" if label == "micro" else label)
    axes.set_xlabel("1 − specificity" if roc else "recall")
    axes.set_ylabel("sensitivity" if roc else "precision")
    return figure


def _key(axes: Axes, y: float, look: Style, text: str, *, right: bool) -> None:
    """A number behind a piece of its curve, in a corner; in ink, as some curves are too light to read."""
    begin = 0.58 if right else 0.03
    line = {key: look[key] for key in ("color", "linestyle", "linewidth")}
    at = {"transform": axes.transAxes, "zorder": 7}
    axes.plot([begin, begin + 0.14], [y + 0.025] * 2, **line, **at)
    axes.text(begin + 0.18, y, text, va="baseline", fontsize=9.5, **at)


def _behind_keys(axes: Axes, count: int, *, right: bool) -> None:
    """Paper between the keys and curves that pass through their corner."""
    at = {"transform": axes.transAxes, "zorder": 6}
    paper = {"facecolor": PAPER, "edgecolor": "none", "alpha": 0.85}
    corner = (0.56 if right else 0.01, 0.025)
    axes.add_patch(Rectangle(corner, 0.42, 0.085 * count + 0.01, **paper, **at))


def _prevalence(results: Mapping[str, Any], label: str) -> float:
    """The precision of guessing: the share of positive slices, or of positive labels."""
    held = results["data_sets"][results["primary"]["data"]]
    if label == "micro":
        return sum(held["positives"].values()) / (held["slices"] * len(LABELS))
    return held["positives"][label] / held["slices"]


def _calibration(results: Mapping[str, Any], label: str) -> Figure:
    """Observed share against predicted probability, of the two models that are compared."""
    figure, axes = _axes(2.75, 2.85)
    axes.plot([0, 1], [0, 1], color=RULE, linewidth=0.8, zorder=1)
    look = styles(results["models"])
    for model in ("federated", "central"):
        if model not in results["calibration"]:
            continue
        curve = results["calibration"][model][label]["curve"]
        x, y, low, high = (
            np.array([_number(value) for value in curve[key]])
            for key in ("predicted", "estimate", "low", "high")
        )
        style = look[model]
        axes.vlines(x, low, high, color=style["color"], linewidth=1, alpha=0.7)
        axes.plot(x, y, marker="o", markersize=3, **{**style, "linewidth": 1.2})
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes.set_title("all labels pooled" if label == "micro" else label)
    axes.set(xlabel="predicted probability", ylabel="share positive")
    return figure


def _gain(results: Mapping[str, Any]) -> Figure:
    """A forest plot: the federation's model minus the hospital's own, on its test data and the hold-out."""
    sites = list(results["gains"])
    kinds = _kinds(results)
    figure, axes = _axes(5.2, 0.9 + (0.2 + 0.16 * len(kinds)) * len(sites))
    axes.axvline(0, color=MUTED, linewidth=0.8, zorder=1)
    for place, (key, look) in enumerate(kinds.items()):
        shift = 0.27 * ((len(kinds) - 1) / 2 - place)
        for row, site in enumerate(reversed(sites)):
            gain = results["gains"][site].get(key)
            if gain is None:
                continue
            gain = gain.get("own", gain)[results["primary"]["statistic"]]
            middle, low, high = (_number(gain[end]) for end in ("estimate", "low", "high"))
            axes.plot([low, high], [row + shift] * 2, color=look["color"], linewidth=1.5, zorder=2)
            axes.plot([middle], [row + shift], zorder=3, linestyle="", **look)
    names = [f"{site} ({results['data_sets'][site]['patients']})" for site in reversed(sites)]
    axes.set_yticks(range(len(sites)), names)
    axes.set_ylim(-0.6, len(sites) - 0.4)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")
    axes.set_axisbelow(True)
    axes.set_xlabel("AUROC, federated − own model (right of 0: the hospital gains)")
    return figure


def _kinds(results: Mapping[str, Any]) -> dict[str, Style]:
    """The markers of each hospital's row, by the key of a gain."""
    held = {"marker": "o", "markersize": 5, "color": MUTED, "markerfacecolor": PAPER}
    own = {"marker": "s", "markersize": 6, "color": FEDERATED}
    if "personal" not in results["models"]:
        return {
            "own": {**own, "label": "own test patients"},
            HOLDOUT: {**held, "label": "hold-out"},
        }
    colour = styles(results["models"])["personal"]["color"]
    return {
        "personal": {
            **{"marker": "D", "markersize": 5.5, "color": colour},
            "label": "personal model, own test patients",
        },
        "own": {**own, "label": "global model, own test patients"},
        HOLDOUT: {**held, "label": "global model, hold-out"},
    }


def _learning(results: Mapping[str, Any], key: str, title: str) -> Figure:
    figure, axes = _axes(4.1, 2.9)
    look = styles(results["models"])
    for model, rows in results["learning"].items():
        x = np.cumsum([_number(row.get("examples")) for row in rows])  # each row has its round's
        y = [_number(row.get(key)) for row in rows]
        axes.plot(x, y, **look[model])
        best = results["done"].get(model, {}).get("best_round")
        chosen = [i for i, row in enumerate(rows) if row["round"] == best]
        if chosen:
            at = {"zorder": 5, "markersize": 4.5, "color": look[model]["color"]}
            axes.plot([x[chosen[0]]], [y[chosen[0]]], marker="o", **at)
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
    look = styles(results["models"])
    rows = results["learning"]["federated"]
    sites = sorted({site for row in rows for site in row.get("site_loss") or {}})
    for number, site in enumerate(sites):
        style = look.get(f"local_{site}", {"color": SITES[number % len(SITES)], "linewidth": 1.3})
        loss = [_number((row.get("site_loss") or {}).get(site)) for row in rows]
        alone = {"marker": ".", "markersize": 4}  # seen between two rounds that the site sat out
        axes.plot([row["round"] for row in rows], np.array(loss), **alone, **style)
    axes.set_title("Federated training loss by hospital")
    axes.set_xlabel("round")
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    return figure
