import csv
import io
import json
import re

import pytest

from fl_jax.report import export


@pytest.fixture(scope="module")
def results(built):
    return json.loads((built / "results.json").read_text())


def test_the_report_writes_what_render_returns_and_the_same_bytes_again(built, results):
    files = export.render(results)
    assert {name.rsplit(".")[-1] for name in files} == {"pdf", "svg", "csv", "tex", "md"}
    for name, content in files.items():
        assert (built / name).read_bytes() == content, name


def test_figures_fit_a_column_with_embedded_truetype_and_no_date(built):
    pages = sorted((built / "figures").glob("*.pdf"))
    assert len(pages) >= 8
    for path in pages:
        content = path.read_bytes()
        box = re.search(rb"/MediaBox \[ 0 0 ([\d.]+) ", content)
        assert box is not None
        width = float(box[1]) / 72 * 25.4
        assert 84 <= width <= 90 or 174 <= width <= 180
        assert b"/FontFile2" in content
        assert b"/Type3" not in content
        assert b"CreationDate" not in content


def test_csv_holds_the_numbers_in_full(built, results):
    rows = list(csv.DictReader(io.StringIO((built / "tables/performance.csv").read_text())))
    seen = 0
    for row in rows:
        cell = results["performance"][row["data"]][row["model"]][row["statistic"]][row["label"]]
        for key in ("estimate", "low", "high"):
            assert (float(row[key]) if row[key] else None) == cell[key]
            seen += 1
    assert seen > 300


def test_latex_escapes_what_a_name_may_hold():
    table = export.Table(("a_b", "50 %"), [("x & y$#{}", "\\^~"), ("−0.1", "0.1–0.2")])
    body = export.to_latex(table)
    assert r"a\_b & 50 \% \\" in body
    assert r"x \& y\$\#\{\} & \textbackslash{}\textasciicircum{}\textasciitilde{} \\" in body
    assert r"$-$0.1 & 0.1--0.2 \\" in body


def test_latex_tables_are_whole(built):
    for path in (built / "tables").glob("*.tex"):
        lines = path.read_text().splitlines()
        columns = len(lines[1].removeprefix(r"\begin{tabular}{").rstrip("}"))
        cells = [line for line in lines if line.endswith(r"\\")]
        assert len(cells) > 1
        assert {len(re.split(r"(?<!\\)&", line)) for line in cells} == {columns}
