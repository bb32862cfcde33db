"""A CSV file by its columns: every row whole and every cell sound, or a refusal that names them."""

import itertools
import math
import os
from collections.abc import Callable, Sequence
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from fl_jax.data.sources.listing import csv_lines

LONGEST = 1000
"""Characters of a name; a loose file is named by its path in the source."""
NAME = "a name holds no control character, no `..` and no root"
_ROWS = 4096
Path = str | os.PathLike[str]
Columns = dict[str, list[str]]


def read(
    path: Path, names: Sequence[str], *, header: Sequence[str] | None = None,
    optional: Sequence[str] = (), remedy: str,
) -> Columns:  # fmt: skip
    """Reads some columns; equal texts are one object.

    Args:
        path: the file.
        names: of the columns.
        header: what the first line must be, in this order; None for any that has the names, each once.
        optional: columns to read where they are there.
        remedy: what to do about another first line.

    Returns:
        By name the cells, in the file's order; of the optional ones those that are there.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: no UTF-8 CSV, another header, a row of another length.
    """
    with csv_lines(path) as lines:
        first = next(lines, [])
        if header is not None and tuple(first) != tuple(header):
            raise ValueError(f"{path}, line 1: the first line must be {','.join(header)}; {remedy}")
        absent = [name for name in names if name not in first]
        absent += [name for name in (*names, *optional) if first.count(name) > 1]
        if absent:
            raise ValueError(f"{path}, line 1: columns {absent} are missing or doubled; {remedy}")
        found: Columns = {name: [] for name in (*names, *optional) if name in first}
        once: dict[str, str] = {}
        line = 2
        while piece := list(itertools.islice(lines, _ROWS)):
            for number, row in enumerate(piece, line):
                if len(row) != len(first):
                    raise ValueError(
                        f"{path}, line {number}: {len(row)} fields where the header has {len(first)}; "
                        f"the file may be cut off; {remedy}"
                    )
            cells = [*zip(*piece, strict=True)]
            for name, column in found.items():
                here = cells[first.index(name)]
                column.extend(map(once.setdefault, here, here))
            line += len(piece)
    return found


def check(
    path: Path, columns: Columns, name: str, good: Callable[[str], object], remedy: str
) -> None:
    """Refuses the first cell of a column that is not good; each text is judged once.

    Raises:
        ValueError: there is one.
    """
    bad = {text for text in {*columns[name]} if not good(text)}
    if bad:
        refuse(path, np.array([text in bad for text in columns[name]]), name, columns, remedy)


def unique(path: Path, columns: Columns, name: str, remedy: str) -> None:
    """Refuses the first cell of a column that stands in it once more above.

    Raises:
        ValueError: there is one.
    """
    seen: set[str] = set()
    if len({*columns[name]}) < len(columns[name]):
        again = [text in seen or seen.add(text) is not None for text in columns[name]]
        refuse(path, np.array(again), name, columns, remedy)


def refuse(path: Path, bad: NDArray[np.bool_], name: str, columns: Columns, remedy: str) -> None:
    """Refuses the first row of a table that is bad.

    Raises:
        ValueError: there is one.
    """
    if bad.any():
        row = int(np.argmax(bad))
        fail(path, row + 2, name, columns[name][row], remedy)


def fail(path: Path, line: int, name: str, value: str, remedy: str) -> NoReturn:
    """Raises ValueError for a cell."""
    raise ValueError(f"{path}, line {line}: {name} is {value!r:.300}: {remedy}")


def number(text: str) -> float:
    """A number as programs write it; NaN where it is none, as `0_1` and digits of other scripts are."""
    try:
        return float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        return math.nan


def is_name(text: str) -> bool:
    """Whether a text can be a name of a thing in a folder: printable, and no way out of it."""
    parts = text.replace("\\", "/").split("/")
    return text.isprintable() and len(text) <= LONGEST and parts[0] != "" and ".." not in parts


def is_text(text: str) -> bool:
    """Whether a text is one that a line can show, and not empty."""
    return 0 < len(text) <= LONGEST and text.isprintable()
