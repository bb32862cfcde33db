import csv
import io
import json
import re
import shutil

import fake_experiment
import pytest
from browser import text_of

from fl_jax.report import figures, journal
from fl_jax.report.build import build
from fl_jax.report.formatting import display_name
from fl_jax.workdir import Workdir


@pytest.fixture(scope="module")
def results(built):
    return json.loads((built / "results.json").read_text())


def test_the_report_writes_these_files_and_the_same_bytes_again(built, results):
    figure_files, table_files = journal.figure_files(results), journal.table_files(results)
    assert {name.rsplit(".")[-1] for name in figure_files} == {"pdf", "svg"}
    assert {name.rsplit(".")[-1] for name in table_files} == {"csv", "tex"}
    for folder, files in (("figures", figure_files), ("tables", table_files)):
        assert {path.name for path in (built / folder).iterdir()} == set(files)
        for name, content in files.items():
            assert (built / folder / name).read_bytes() == content, name


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
    table = journal.Table(("a_b", "50 %"), [("x & y$#{}", "\\^~"), ("−0.1", "0.1–0.2")])
    body = journal.to_latex(table)
    assert r"a\_b & 50 \% \\" in body
    assert r"x \& y\$\#\{\} & \textbackslash{}\textasciicircum{}\textasciitilde{} \\" in body
    assert r"$-$0.1 & 0.1--0.2 \\" in body
    hostile = journal.to_latex(journal.Table(("a",), [["[1cm]"], ["\\input{/etc/passwd}\n\n%"]]))
    assert "\n{[}1cm] \\\\\n\\textbackslash{}input\\{/etc/passwd\\}  \\% \\\\\n" in hostile
    assert r"$<$ 0.1 & \textbar{}$>$" in journal.to_latex(journal.Table(("< 0.1", "|>"), []))


def test_latex_tables_are_whole(built):
    for path in (built / "tables").glob("*.tex"):
        lines = path.read_text().splitlines()
        columns = len(lines[1].removeprefix(r"\begin{tabular}{").rstrip("}"))
        cells = [line for line in lines if line.endswith(r"\\")]
        assert len(cells) > 1
        assert {len(re.split(r"(?<!\\)&", line)) for line in cells} == {columns}


def test_a_legend_names_what_is_drawn_and_nothing_else(results):
    drawn = figures.draw(results)
    for name, figure in drawn.items():
        journal.add_legend(figure, results["models"])
        legend = [text.get_text() for box in figure.legends for text in box.get_texts()]
        if name.startswith(("roc_", "precision_recall_")):
            assert legend == [
                display_name(model) for model in results["models"] if model in results["roc"]
            ]
        elif name.startswith("calibration_"):
            assert legend == ["federated", "central"]
        elif name == "gain":
            assert legend == ["its own test patients", "hold-out"]
        elif name == "site_loss":
            assert legend == sorted(results["gains"])
        else:
            assert legend == [display_name(model) for model in results["learning"]]


def test_models_of_one_colour_differ_in_the_legend_by_their_dashes(results):
    sites = [f"local_{letter}" for letter in "abcdefg"]
    models = ["federated", *sites]
    rows = [{"round": n, "examples": n, "loss": n} for n in (1, 2)]
    shown = ["federated", "local_a", "local_f"]  # five colours: f has that of a
    changed = {
        **{**results, "models": models, "roc": {}, "precision_recall": {}},
        **{"gains": {}, "calibration": {}},
        "learning": dict.fromkeys(shown, rows),
    }
    figure = figures.draw(changed)["loss"]
    journal.add_legend(figure, models)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["federated", "a", "f"]
    _, a, f = legend.get_lines()
    assert a.get_color() == f.get_color()
    assert a.get_linestyle() != f.get_linestyle()


def test_figures_of_an_earlier_run_that_are_no_longer_made_are_removed(
    built, copy, results, monkeypatch
):
    monkeypatch.setattr(journal, "_saved", lambda *_: b"")
    made = set(figures.draw(results))
    assert {f"{name}.pdf" for name in made} <= set(journal.FIGURE_FILES)
    shutil.copytree(built / "figures", copy / "figures")
    (copy / "figures" / "mine.pdf").write_text("another file")
    for path in copy.glob("models/*/*"):
        path.unlink()
    build(Workdir(copy), resamples=20, thumbnails=fake_experiment.heads)
    left = {path.stem for path in (copy / "figures").iterdir()}
    assert left == made - {"loss", "auroc", "site_loss"} | {"mine"}
    assert (copy / "figures" / "roc_any.pdf").read_bytes() == b""  # drawn anew


def test_figures_are_written_where_asked_for_and_the_page_names_the_command(built, copy):
    build(Workdir(copy), resamples=60, thumbnails=fake_experiment.heads)
    assert not (copy / "figures").exists()
    page = (copy / "report.html").read_text()
    assert page == (built / "report.html").read_text()
    assert 'href="figures/' not in page
    assert "python -m launch.report --workdir=DIR also writes the figures as PDF" in text_of(page)
