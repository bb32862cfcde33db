"""Figures and tables for a journal: PDF and SVG at column width, LaTeX and CSV.

Like the page they are made from `results.json` alone, without a date: the same results give the same bytes.
CSV has full precision; LaTeX rounds to three decimals and needs the package booktabs.
"""

import io
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.figure import Figure
from matplotlib.text import Text

from fl_jax.core.types import LABELS
from fl_jax.data.site_names import HOLDOUT
from fl_jax.files import csv_table
from fl_jax.report import figures, gains
from fl_jax.report.formatting import display_name, fixed, limits, p_value, signed
from fl_jax.report.style import drawing

SINGLE_COLUMN, DOUBLE_COLUMN = 88.0, 178.0
"""Widths, mm."""
WIDE = 1.9
"""Aspect ratio from which a figure spans two columns."""
FONT_SIZES = (7.0, 8.0)
"""Smallest and largest, points."""
FONTS: dict[Any, Any] = {"pdf.fonttype": 42, "svg.fonttype": "path", "text.parse_math": False}
"""TrueType in PDF; outlines in SVG, which then looks the same everywhere."""
FORMATS = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}
"""Metadata to leave out, by file format."""
FIGURE_FILES = [
    f"{name}.{kind}"
    for name in (
        *("gain", "loss", "auroc", "site_loss"),
        *(f"roc_{label}" for label in figures.MICRO_AND_LABELS),
        *(f"precision_recall_{label}" for label in figures.MICRO_AND_LABELS),
        *(f"calibration_{label}" for label in figures.MICRO_AND_LABELS),
    )
    for kind in FORMATS
]
"""Every file that `figure_files` may make; other files in the folder are the user's."""
OPTIONAL_TABLES = ["personal_minus_central.csv"]
INTERVAL_COLUMNS = ("estimate", "low", "high", "undefined", "resamples")
LATEX_ESCAPES = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        **{sign: "\\" + sign for sign in "&%$#_{}"},
        "−": "$-$",
        "–": "--",
        "<": "$<$",  # LaTeX's default font has other glyphs for these three
        ">": "$>$",
        "|": r"\textbar{}",
        "[": "{[}",  # after the end of a row it would begin an argument
        "\n": " ",
    }
)


class Table(NamedTuple):
    """A header and rows of text, numbers or None for undefined."""

    header: Sequence[str]
    rows: Sequence[Sequence[Any]]


def figure_files(results: Mapping[str, Any]) -> dict[str, bytes]:
    """Draws all figures of `results.json` as PDF and SVG, by file name."""
    files = {}
    for name, figure in figures.draw(results).items():
        add_legend(figure, results["models"])
        resize(figure)
        files |= {f"{name}.{kind}": _saved(figure, name, kind) for kind in FORMATS}
    return files


def table_files(results: Mapping[str, Any]) -> dict[str, bytes]:
    """Writes the tables of `results.json` as CSV and LaTeX, by file name."""
    full = {f"{name}.csv": csv_table.text(*table) for name, table in full_tables(results).items()}
    short = {f"{name}.tex": to_latex(table) for name, table in printed_tables(results).items()}
    return {name: text.encode() for name, text in (full | short).items()}


def add_legend(figure: Figure, models: Sequence[str]) -> None:
    """Adds a legend, models in their order; on the page, HTML takes its place."""
    lines = {
        label: line
        for axes in figure.axes
        for line, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    if len(lines) > 1:
        order = {model: number for number, model in enumerate(models)}
        labels = sorted(lines, key=lambda label: order.get(label, 0))
        figure.legend(
            [lines[label] for label in labels],
            [display_name(label) for label in labels],
            **{"loc": "outside lower center", "ncols": 2, "frameon": False},
        )


def resize(figure: Figure) -> None:
    """Scales a figure to one or two columns, keeping its aspect ratio, and its type to 7-8 points."""
    width, height = map(float, figure.get_size_inches())
    inches = (DOUBLE_COLUMN if width >= WIDE * height else SINGLE_COLUMN) / 25.4
    figure.set_size_inches(inches, height * inches / width)
    for axes in figure.axes:
        axes.set_xlabel(textwrap.fill(axes.get_xlabel(), 44))
    smallest, largest = FONT_SIZES
    for text in figure.findobj(Text):
        if isinstance(text, Text):
            text.set_fontsize(min(max(float(text.get_fontsize()) * 0.8, smallest), largest))


def _saved(figure: Figure, name: str, kind: str) -> bytes:
    with drawing({**FONTS, "svg.hashsalt": name}):
        out = io.BytesIO()
        figure.savefig(out, format=kind, metadata=FORMATS[kind])
    return out.getvalue()


def full_tables(results: Mapping[str, Any]) -> dict[str, Table]:
    """Every interval of the performance, of the differences from central training and of the gains."""
    performance = [
        (data, model, statistic, label, *_interval(cell))
        for data, models in results["performance"].items()
        for model, statistics in models.items()
        for statistic, cells in statistics.items()
        for label, cell in cells.items()
    ]
    central = {
        f"{model}_minus_central": [
            (data, *statistic.split("/"), *_interval(cell))
            for data, cells in results[f"{model}_minus_central"].items()
            for statistic, cell in cells.items()
        ]
        for model in gains.FEDERATION_MODELS
    }
    gain_rows = [
        (model, site, data, *statistic.split("/"), *_interval(cell))
        for model in gains.FEDERATION_MODELS
        for site, gain in results["gains"].items()
        for data in ("own", HOLDOUT)
        for statistic, cell in gains.gain_from(gain, model).get(data, {}).items()
    ]
    columns = ("statistic", "label", *INTERVAL_COLUMNS)
    return {
        "performance": Table(("data", "model", *columns), performance),
        **{name: Table(("data", *columns), rows) for name, rows in central.items() if rows},
        "gains": Table(("model", "site", "data", *columns), gain_rows),
    }


def printed_tables(results: Mapping[str, Any]) -> dict[str, Table]:
    """A paper's tables: labels by models on the primary data set, and each hospital's gain."""
    data = results["primary"]["data"]
    row = {
        display_name(model): cells
        for model, cells in results["performance"][data].items()
        if model not in results["not_applicable"][data]
    }
    tables = {
        statistic: Table(
            ("label", *row),
            [
                (name, *(write(cells[statistic][label]) for cells in row.values()))
                for label in (*LABELS, "macro", "micro")
                # Limits go below the estimates: seven models do not fit on a page otherwise.
                for name, write in ((label, _estimate), ("", _limits))
            ],
        )
        for statistic in ("auroc", "average_precision")
    }
    statistic = results["primary"]["statistic"]
    tests = results["delong_differences"]
    gain_rows = [
        (
            site,
            model,
            signed(gain["own"][statistic]["estimate"]),
            limits(gain["own"][statistic], difference=True),
            p_value(tests[f"{model}_minus_local"][site][f"local_{site}"]["micro"]["p_holm"]),
            gain["verdict"],
        )
        for model in gains.FEDERATION_MODELS
        for site, site_gains in results["gains"].items()
        if (gain := gains.gain_from(site_gains, model))
    ]
    header = ("site", "model", "gain", "interval", "p (Holm)", "verdict")
    return tables | {"gains": Table(header, gain_rows)}


def to_latex(table: Table) -> str:
    r"""A `tabular` for `\input`, with every cell escaped."""
    lines = [r"% \usepackage{booktabs}", rf"\begin{{tabular}}{{l{'r' * (len(table.header) - 1)}}}"]
    header, *rows = [
        " & ".join(str(cell).translate(LATEX_ESCAPES) for cell in row) + r" \\"
        for row in (table.header, *table.rows)
    ]
    lines += [r"\toprule", header, r"\midrule", *rows, r"\bottomrule", r"\end{tabular}"]
    return "\n".join(lines) + "\n"


def _interval(cell: Mapping[str, Any]) -> list[Any]:
    return [cell[name] for name in INTERVAL_COLUMNS]


def _estimate(interval: Mapping[str, Any]) -> str:
    return fixed(interval["estimate"])


def _limits(interval: Mapping[str, Any]) -> str:
    return "" if interval["estimate"] is None else limits(interval)
