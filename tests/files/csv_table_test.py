import csv
import io
import random

import pytest

from fl_jax.files import csv_table

ALPHABET = [
    "a",
    "1",
    ",",
    '"',
    "'",
    " ",
    "\t",
    "\n",
    "\r",
    "\r\n",
    "\0",
    "\ufeff",
    "\u2028",
    "\x85",
    "\x0b",
]
ALPHABET += ["\x1c", "\\", ";", "=", "", "\xe4", "\U0001f9e0", "\x1b"]


def read(path):
    with csv_table.rows(path) as rows:
        return [*rows]


@pytest.mark.parametrize("seed", range(20))
def test_any_text_in_the_same_text_out(tmp_path, seed):
    chosen = random.Random(seed)
    width = chosen.randrange(1, 5)

    def cell():
        return "".join(chosen.choices(ALPHABET, k=chosen.randrange(6)))

    header, *rows = table = [[cell() for _ in range(width)] for _ in range(100)]
    csv_table.write(tmp_path / "a.csv", header, rows)
    assert read(tmp_path / "a.csv") == table
    assert (tmp_path / "a.csv").read_bytes().decode() == csv_table.text(header, rows)


def test_plain_tables_are_plain_text():
    assert csv_table.text(["a", "b"], [[1 / 3, None], ["x y", True]]) == (
        f"a,b\n{1 / 3!r},\nx y,True\n"
    )


@pytest.mark.parametrize("odd", ["\r", "\ufeff"])
def test_what_the_library_does_not_quote(tmp_path, odd):
    csv_table.write(tmp_path / "a.csv", [f"{odd}a", "b"], [[odd, "x"]])
    assert read(tmp_path / "a.csv") == [[f"{odd}a", "b"], [odd, "x"]]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x" * 2**20, "line 1: is longer than 1048575 characters"),
        ("a,b\n" + "," * 2**20, "line 2: is longer than"),
        ("x" * (2**17 + 1), r"field larger than field limit \(131072\)"),
        ('"' + "x\n" * 2**17, r"field larger than field limit \(131072\)"),
        ('"a', "unexpected end of data"),
    ],
)
def test_lines_and_cells_are_bounded(tmp_path, text, words):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(ValueError, match=rf"^{tmp_path}/a\.csv.*{words}"):
        read(tmp_path / "a.csv")


def test_a_large_file_is_not_read(tmp_path):
    with (tmp_path / "a.csv").open("wb") as file:
        file.truncate(2**30)
    with pytest.raises(ValueError, match="at most 536870912 are read"):
        read(tmp_path / "a.csv")


@pytest.mark.parametrize("sign", [*"=+-@\t\r\n", "\uff1d", "'=", "''@"])
def test_a_text_is_no_formula_in_a_spreadsheet(tmp_path, sign):
    cell = f'{sign}HYPERLINK("https://example.org","x")'
    csv_table.write(tmp_path / "t.csv", [cell, "n"], [[cell, -1.5], [f"{sign}1+1", "-1e-3"]])
    with csv_table.rows(tmp_path / "t.csv") as lines:
        assert [*lines] == [[cell, "n"], [cell, "-1.5"], [f"{sign}1+1", "-1e-3"]]
    for row in csv.reader(io.StringIO((tmp_path / "t.csv").read_text())):
        assert all(text[0] not in "=+@\t\r\n\uff1d" for text in row)
        assert row[1] in ("n", "-1.5", "-1e-3")
        assert not row[0].startswith("-")
