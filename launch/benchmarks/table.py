"""Plain-text tables."""

from collections.abc import Mapping, Sequence
from typing import Any

NOISE = "the range is the noise"
"""The note of the floor's line."""


def ratio(line: Mapping[str, Any]) -> list[str]:
    """Cells of the ratio to the floor and of its range."""
    low, high = line["spread"]
    return [f"{line['ratio']:.2f}", f"{low:.2f}-{high:.2f}"]


def text(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lays out a table: the first and last column to the left, figures to the right."""
    lines = [head, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    last = len(head) - 1

    def laid_out(line: Sequence[str]) -> str:
        cells = [
            cell.ljust(width) if column in (0, last) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        return "  ".join(cells).rstrip()

    return "\n".join(["", title, *map(laid_out, lines)])
