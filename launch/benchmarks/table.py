"""Plain-text tables."""

from collections.abc import Sequence


def text(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lays out a table: the first and last column to the left, figures to the right.

    Args:
        title: a line above it.
        head: the columns' names.
        rows: as many entries as there are columns each.
    """
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
