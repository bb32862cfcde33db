"""The report's figures and tables for a journal: PDF and SVG at column width, LaTeX and CSV.

Made from `results.json`, as the page is, and without a date: the same results give the same bytes.
A CSV has each number in full; a LaTeX table rounds to three decimals and needs the package booktabs.
"""

import csv
import io
import textwrap
from collections.abc import Container, Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib
from matplotlib.figure import Figure
from matplotlib.text import Text

from fl_jax.core.types import LABELS
from fl_jax.data.site_names import HOLDOUT
from fl_jax.report import cards, figures, gains, page
from fl_jax.report.answer import fixed, p_value, signed, spread

SINGLE, DOUBLE = 88.0, 178.0
"""Widths of one and two columns, mm."""
WIDE = 1.9
"""A figure at least this many times as wide as high takes two columns."""
POINTS = (7.0, 8.0)
"""Smallest and largest type."""
FONTS: dict[Any, Any] = {"pdf.fonttype": 42, "svg.fonttype": "path", "text.parse_math": False}
"""TrueType in the PDF; outlines in the SVG, which then looks alike everywhere."""
CURVES = ("roc", "precision_recall", "calibration")
FIGURES = {
    *("gain", "loss", "auroc", "site_loss"),
    *(f"{kind}_{of}" for kind in CURVES for of in ("micro", *LABELS)),
}
"""Names that are the report's: others in the folder are a person's own."""
COLUMNS = ("estimate", "low", "high", "undefined", "resamples")
ESCAPES = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        **{sign: "\\" + sign for sign in "&%$#_{}"},
        "−": "$-$",
        "–": "--",
        "<": "$<$",  # in the font that LaTeX begins with these three are other signs
        ">": "$>$",
        "|": r"\textbar{}",
    }
)


class Table(NamedTuple):
    """Rows under a header; cells are text, numbers or None for undefined."""

    header: Sequence[str]
    rows: Sequence[Sequence[Any]]


def render(results: Mapping[str, Any]) -> dict[str, bytes]:
    """All files for a journal.

    Args:
        results: of `results.compute`, as JSON has them (null for undefined).

    Returns:
        Contents by path under the workdir: figures/<name>.{pdf,svg}, tables/<name>.{csv,tex}, model_card.md,
        reporting_checklist.md.
    """
    found: dict[str, bytes] = {}
    for name, figure in figures.draw(results).items():
        add_legend(figure, results["models"])
        resize(figure)
        found[f"figures/{name}.pdf"] = _saved(figure, name, "pdf", {"CreationDate": None})
        found[f"figures/{name}.svg"] = _saved(figure, name, "svg", {"Date": None})
    found["model_card.md"] = cards.model_card(results).encode()
    found["reporting_checklist.md"] = cards.checklist(results).encode()
    for name, table in full(results).items():
        found[f"tables/{name}.csv"] = to_csv(table).encode()
    for name, table in printed(results).items():
        found[f"tables/{name}.tex"] = to_latex(table).encode()
    return found


def stale(made: Container[str]) -> list[str]:
    """Figures and tables that an earlier run may have left and that these results do not have.

    Args:
        made: paths of `render`.

    Returns:
        Paths under the workdir.
    """
    paths = [f"figures/{name}.{kind}" for name in FIGURES for kind in ("pdf", "svg")]
    paths.append("tables/personal_minus_central.csv")
    return [path for path in paths if path not in made]


def add_legend(figure: Figure, models: Sequence[str]) -> None:
    """Names a figure's lines and markers, models in their order; on the page the text does."""
    shown = {
        label: line
        for axes in figure.axes
        for line, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    if len(shown) > 1:
        order = {model: place for place, model in enumerate(models)}
        labels = sorted(shown, key=lambda label: order.get(label, 0))
        figure.legend(
            [shown[label] for label in labels],
            [page.title(label) for label in labels],
            **{"loc": "outside lower center", "ncols": 2, "frameon": False},
        )


def resize(figure: Figure) -> None:
    """Brings a figure to one or two columns, its type to 7-8 points; its shape stays."""
    width, height = map(float, figure.get_size_inches())
    inches = (DOUBLE if width >= WIDE * height else SINGLE) / 25.4
    figure.set_size_inches(inches, height * inches / width)
    for axes in figure.axes:
        axes.set_xlabel(textwrap.fill(axes.get_xlabel(), 44))
    for text in figure.findobj(Text):
        if isinstance(text, Text):
            text.set_fontsize(min(max(float(text.get_fontsize()) * 0.8, POINTS[0]), POINTS[1]))


def _saved(figure: Figure, name: str, kind: str, metadata: dict[str, None]) -> bytes:
    with matplotlib.rc_context({**figures.STYLE, **FONTS, "svg.hashsalt": name}):
        out = io.BytesIO()
        figure.savefig(out, format=kind, metadata=metadata)
    return out.getvalue()


def full(results: Mapping[str, Any]) -> dict[str, Table]:
    """Every interval of the performance, of the difference from pooled training and of the gains."""
    performance = [
        (data, model, statistic, label, *_values(cell))
        for data, models in results["performance"].items()
        for model, statistics in models.items()
        for statistic, cells in statistics.items()
        for label, cell in cells.items()
    ]
    central = {
        f"{model}_minus_central": [
            (data, *statistic.split("/"), *_values(cell))
            for data, cells in results[f"{model}_minus_central"].items()
            for statistic, cell in cells.items()
        ]
        for model in gains.DELIVERED
    }
    gained = [
        (model, site, place, *statistic.split("/"), *_values(cell))
        for model in gains.DELIVERED
        for site, both in results["gains"].items()
        for place in ("own", HOLDOUT)
        for statistic, cell in gains.delivered(both, model).get(place, {}).items()
    ]
    about = ("statistic", "label", *COLUMNS)
    return {
        "performance": Table(("data", "model", *about), performance),
        **{name: Table(("data", *about), rows) for name, rows in central.items() if rows},
        "gains": Table(("model", "site", "data", *about), gained),
    }


def printed(results: Mapping[str, Any]) -> dict[str, Table]:
    """The tables of a paper: labels by models on the primary data, and who gains by joining."""
    data = results["primary"]["data"]
    row = {
        page.title(model): cells
        for model, cells in results["performance"][data].items()
        if model not in results["not_applicable"][data]
    }
    found = {
        statistic: Table(
            ("label", *row),
            [
                (name, *(write(cells[statistic][label]) for cells in row.values()))
                for label in (*LABELS, "macro", "micro")
                # Beneath each other, as seven models do not fit a page otherwise.
                for name, write in ((label, _estimate), ("", _limits))
            ],
        )
        for statistic in ("auroc", "average_precision")
    }
    statistic = results["primary"]["statistic"]
    tests = results["delong_differences"]
    gained = [
        (
            site,
            model,
            signed(gain["own"][statistic]["estimate"]),
            spread(gain["own"][statistic], difference=True),
            p_value(tests[f"{model}_minus_local"][site][f"local_{site}"]["micro"]["p_holm"]),
            gain["verdict"],
        )
        for model in gains.DELIVERED
        for site, both in results["gains"].items()
        if (gain := gains.delivered(both, model))
    ]
    header = ("site", "model", "gain", "interval", "p (Holm)", "verdict")
    return found | {"gains": Table(header, gained)}


def to_csv(table: Table) -> str:
    """Comma-separated text; floats in full, an empty cell where undefined."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([table.header, *table.rows])
    return out.getvalue()


def to_latex(table: Table) -> str:
    r"""A `tabular` for `\input`; every cell is escaped."""
    lines = [r"% \usepackage{booktabs}", rf"\begin{{tabular}}{{l{'r' * (len(table.header) - 1)}}}"]
    header, *rows = [
        " & ".join(str(cell).translate(ESCAPES) for cell in row) + r" \\"
        for row in (table.header, *table.rows)
    ]
    lines += [r"\toprule", header, r"\midrule", *rows, r"\bottomrule", r"\end{tabular}"]
    return "\n".join(lines) + "\n"


def _values(cell: Mapping[str, Any]) -> list[Any]:
    return [cell[name] for name in COLUMNS]


def _estimate(interval: Mapping[str, Any]) -> str:
    return fixed(interval["estimate"])


def _limits(interval: Mapping[str, Any]) -> str:
    return "" if interval["estimate"] is None else spread(interval)
