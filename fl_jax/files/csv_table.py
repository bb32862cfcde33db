"""CSV tables: what `write` writes, `rows` reads back exactly.

A spreadsheet runs a cell that begins like a formula, such as a file's name `=HYPERLINK(...)`. Such a text is
written after an apostrophe, which `rows` removes; numbers stay as they are.

`read` reads by column, and names the file, line, column and value of the first bad cell.
"""

import contextlib
import csv
import io
import itertools
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import IO, NoReturn

import numpy as np
from numpy.typing import NDArray

from fl_jax.files.atomic import atomic_open
from fl_jax.files.regular import open_read

Path = str | os.PathLike[str]
Columns = dict[str, list[str]]
"""The cells of each column, by its name."""
CHUNK = 4096
"""Rows that are transposed at a time."""
LARGEST = 2**29
"""Bytes of a file that is read: 600 a slice for the 874,035 of the RSNA challenge."""
LONGEST_LINE = 2**20
"""Characters of a line."""
LONGEST_CELL = 2**17
"""Characters of a cell."""
FORMULA = re.compile("'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
"""The start of a formula, after apostrophes or not."""
assert csv.field_size_limit() == LONGEST_CELL


class writer:  # noqa: N801  # in place of `csv.writer`
    """Writes rows to a text file that is open without newline translation; it starts the file."""

    def __init__(self, file: IO[str]) -> None:
        # With this line end it quotes carriage returns too, which `csv.reader` takes for line ends.
        self._writer = csv.writer(_Lines(file), lineterminator="\r\n")

    def writerow(self, row: Iterable[object]) -> None:
        """Writes one row."""
        self._writer.writerow([_escaped(cell) for cell in row])

    def writerows(self, lines: Iterable[Iterable[object]]) -> None:
        """Writes several rows."""
        for row in lines:
            self.writerow(row)


def _escaped(cell: object) -> object:
    formula = isinstance(cell, str) and FORMULA.match(cell) and math.isnan(number(cell))
    return f"'{cell}" if formula else cell


def _unescaped(row: list[str]) -> list[str]:
    return [cell[1:] if cell[:1] == "'" and FORMULA.match(cell) else cell for cell in row]


class _Lines:
    """Ends lines by a line feed; doubles a byte-order mark at the start, because `rows` drops one."""

    def __init__(self, file: IO[str]) -> None:
        self._file, self._start = file, "\ufeff"

    def write(self, line: str) -> None:
        mark = self._start if self._start and line.startswith(self._start) else ""
        self._start = ""
        self._file.write(f"{mark}{line[:-2]}\n")


def write(path: Path, header: Iterable[object], lines: Iterable[Iterable[object]]) -> None:
    """Writes a table atomically: numbers in full precision, None as an empty cell."""
    with atomic_open(path) as file:
        writer(file).writerows(itertools.chain([header], lines))


def text(header: Iterable[object], lines: Iterable[Iterable[object]]) -> str:
    """A table as text."""
    file = io.StringIO(newline="")
    writer(file).writerows(itertools.chain([header], lines))
    return file.getvalue()


@contextlib.contextmanager
def rows(path: Path) -> Iterator[Iterator[list[str]]]:
    """Opens a CSV file and yields its rows.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the file is not UTF-8 CSV or too large, or is no regular file; also raised while the
            caller iterates.
    """
    try:
        with (
            open_read(path, largest=LARGEST) as file,
            io.TextIOWrapper(file, encoding="utf-8-sig", newline="") as lines,
        ):
            yield map(_unescaped, csv.reader(_bounded(path, lines), strict=True))
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: {error}; save it as comma-separated UTF-8 text") from error


def _bounded(path: Path, file: IO[str]) -> Iterator[str]:
    number = 0
    while line := file.readline(LONGEST_LINE):
        number += 1
        if len(line) == LONGEST_LINE:
            raise ValueError(f"{path}, line {number}: is longer than {LONGEST_LINE - 1} characters")
        yield line


def read(
    path: Path, names: Sequence[str], *, header: Sequence[str] | None = None,
    optional: Sequence[str] = (), remedy: str,
) -> Columns:  # fmt: skip
    """Reads some columns of a CSV file. Equal cells share one string object.

    Args:
        path: the file.
        names: required columns.
        header: the exact first line; None accepts any that has each of `names` once.
        optional: columns to read if they exist.
        remedy: ends the error about a bad header or row.

    Returns:
        The columns in file order; optional columns only if they exist.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: not UTF-8 CSV, another header, or a row with too few or too many cells.
    """
    with rows(path) as lines:
        first = next(lines, [])
        if header is not None and tuple(first) != tuple(header):
            raise ValueError(f"{path}, line 1: the first line must be {','.join(header)}; {remedy}")
        absent = [name for name in names if name not in first]
        absent += [name for name in (*names, *optional) if first.count(name) > 1]
        if absent:
            raise ValueError(f"{path}, line 1: columns {absent} are missing or doubled; {remedy}")
        columns: Columns = {name: [] for name in (*names, *optional) if name in first}
        interned: dict[str, str] = {}
        line = 2
        while chunk := list(itertools.islice(lines, CHUNK)):
            for number, row in enumerate(chunk, line):
                if len(row) != len(first):
                    raise ValueError(
                        f"{path}, line {number}: {len(row)} cells, but the header has {len(first)}; "
                        f"the file may be truncated; {remedy}"
                    )
            transposed = [*zip(*chunk, strict=True)]
            for name, column in columns.items():
                cells = transposed[first.index(name)]
                column.extend(map(interned.setdefault, cells, cells))
            line += len(chunk)
    return columns


def check(
    path: Path, columns: Columns, name: str, valid: Callable[[str], object], remedy: str
) -> None:
    """Checks every cell of a column; `valid` runs once per distinct text.

    Raises:
        ValueError: names the first invalid cell.
    """
    bad = {text for text in {*columns[name]} if not valid(text)}
    if bad:
        refuse(path, np.array([text in bad for text in columns[name]]), name, columns, remedy)


def unique(path: Path, columns: Columns, name: str, remedy: str) -> None:
    """Checks that no cell of a column repeats.

    Raises:
        ValueError: names the first repeated cell.
    """
    seen: set[str] = set()
    if len({*columns[name]}) < len(columns[name]):
        again = [text in seen or seen.add(text) is not None for text in columns[name]]
        refuse(path, np.array(again), name, columns, remedy)


def refuse(path: Path, bad: NDArray[np.bool_], name: str, columns: Columns, remedy: str) -> None:
    """Raises ValueError for the cell `name` of the first row where `bad` is True, if any."""
    if bad.any():
        row = int(np.argmax(bad))
        fail(path, row + 2, name, columns[name][row], remedy)


def fail(path: Path, line: int, name: str, value: str, remedy: str) -> NoReturn:
    """Raises ValueError for one cell."""
    raise ValueError(f"{path}, line {line}: {name} is {value!r:.300}: {remedy}")


def number(text: str) -> float:
    """Parses an ASCII number without `_`; NaN if the text is not one."""
    try:
        return float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        return math.nan
