"""What a change is worth on a domain that training never saw, with intervals by patient and seed.

Rows are runs of `fl_jax.experiment.runners.domain_shift`. A row `without NAME` is compared with the row
`everything`, all others with `nothing`. On the other cohort all rows and seeds are judged on the same
patients and resamples, so these differences are paired.
`fl_jax.evaluation.seed_variance` defines the intervals.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from fl_jax.evaluation.seed_variance import Spread
from fl_jax.evaluation.transfer import NAMES
from fl_jax.files import atomic
from launch.sweep.tables.places import Line, Rows, as_csv, compared, markdown, shown

PLACES = ("own", "shifted", "drop")
STATISTICS = tuple(f"{place}_{name}" for place in PLACES for name in NAMES)
COLUMNS = {
    "own_micro": "own hold-out, micro",
    "own_macro": "macro",
    "own_any": "any",
    "shifted_any": "shifted, any",
    "drop_any": "drop",
    "shifted_patient": "by patient",
    "shifted_pairs": "like area",
    "shifted_called": "normal slices called",
}
NOTHING, EVERYTHING = "nothing", "everything"
DIFFERENCE = "shifted_patient"


def shift() -> Callable[[Rows, Path], None]:
    """Makes the function that writes `table.csv` and `table.md` into a folder."""

    def write(rows: Rows, folder: Path) -> None:
        lines_by_row = lines(rows)
        atomic.write_text(folder / "table.csv", as_csv(lines_by_row))
        atomic.write_text(folder / "table.md", as_markdown(lines_by_row))

    return write


def reference(title: str) -> str:
    """The row with which a row is compared; empty for none."""
    if title == NOTHING:
        return ""
    return EVERYTHING if title.startswith("without ") else NOTHING


def lines(rows: Rows) -> dict[str, Line]:
    """Every row's statistics over seeds, and the difference from its reference, if that is among the rows.

    Differences on the own hold-out are left out: families have other patients there.
    """
    lines_by_row = compared(rows, STATISTICS, "value", reference)
    for line in lines_by_row.values():
        if "less" in line:
            less = line["less"].items()
            line["less"] = {name: s for name, s in less if name.startswith("shifted_")}
    return lines_by_row


def as_markdown(lines_by_row: Mapping[str, Line]) -> str:
    """A line a row; the last column is the difference by patient from the row's reference."""
    titles = ["", *COLUMNS.values(), "by patient, less"]
    rows = []
    for title, line in lines_by_row.items():
        values: dict[str, Spread] = line["value"]
        cells = [title, *(shown(values[name]) for name in COLUMNS)]
        less = line.get("less")
        cells.append(f"{reference(title)}: {shown(less[DIFFERENCE], sign=True)}" if less else "")
        rows.append(cells)
    return markdown(titles, rows)
