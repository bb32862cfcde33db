"""Colours, line styles and SVG output shared by all figures.

Each model keeps one colour and dash in every figure, from Okabe and Ito's colour-blind-safe palette:
federated is blue, central is black, each hospital has its own.

Reference: Okabe and Ito, Color Universal Design, 2008.
"""

import io
import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from types import MappingProxyType
from typing import Any

import matplotlib.style
from markupsafe import escape
from matplotlib.figure import Figure

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
"""The page's CSS variable for each colour, so that figures follow the page into dark mode."""
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
    "text.parse_math": False,  # a site's name may contain a dollar sign
}


def drawing(changes: Mapping[Any, Any] = MappingProxyType({})) -> AbstractContextManager[None]:
    """Draws in `STYLE` with `changes`, and otherwise in matplotlib's defaults.

    A `matplotlibrc` in the current folder, which may be a received one, decides nothing.
    """
    return matplotlib.style.context(["default", {**STYLE, **changes}])


LineStyle = dict[str, Any]
"""Keyword arguments of a matplotlib line."""


def line_styles(models: Sequence[str]) -> dict[str, LineStyle]:
    """Colour, dash, width and legend label of each model's line.

    Args:
        models: in the order of the results.

    Returns:
        Line styles by model.
    """
    others = [model for model in models if model not in ("federated", "central")]
    styles: dict[str, LineStyle] = {
        "federated": {"color": FEDERATED, "linestyle": "-", "linewidth": 2.2, "zorder": 4},
        "central": {"color": INK, "linestyle": DASHES[1], "linewidth": 1.6, "zorder": 3},
    }
    for number, model in enumerate(others):
        dash = DASHES[(number // len(SITES)) % len(DASHES)]
        colour = SITES[number % len(SITES)]
        styles[model] = {"color": colour, "linestyle": dash, "linewidth": 1.3, "zorder": 2}
    return {model: {**styles[model], "label": model} for model in models}


def svg(figure: Figure, name: str, title: str) -> str:
    """Turns a figure into inline SVG that takes its colours and typeface from the page.

    Args:
        figure: drawn in this module's colours.
        name: seeds the identifiers inside the SVG, which must be unique on a page.
        title: text for screen readers.

    Returns:
        An `<svg>` element; the same bytes for the same figure.
    """
    with drawing({"svg.hashsalt": name}):
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
    body = text.getvalue()
    body = body[body.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>\s*", "", body, flags=re.DOTALL)
    # matplotlib names groups figure_1, axes_1, ... in every file; identifiers must be unique on a page.
    body = re.sub(r'<g id="[^"]*">', "<g>", body)
    box = re.search(r'viewBox="([^"]*)"', body)
    width = float(box[1].split()[2]) if box else 0.0
    opening = (
        f'<svg viewBox="{box[1] if box else ""}" style="max-width:{width * 4 / 3:.0f}px" role="img" '
        f'aria-label="{escape(title)}" xmlns:xlink="http://www.w3.org/1999/xlink">'
    )
    body = re.sub(r"<svg[^>]*>", lambda _: opening, body, count=1)
    for colour, variable in VARIABLES.items():
        body = body.replace(colour, f"var({variable})")
    return re.sub(r"font-family:[^;\"]*;? ?", "", body)
