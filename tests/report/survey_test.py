"""Answers are counted as they are given, refused where they are none, and shown escaped."""

import csv
import json

import numpy as np
import pytest
from browser import browse, text_of
from matplotlib.colors import to_hex

from fl_jax.report import page, survey

ITEMS = [
    survey.Item("Easy, was it?", ("no", "so-so", "yes")),
    survey.Item("Useful?", ("no", "so-so", "yes")),
    survey.Item("Hours?", ("few", "many")),
    survey.Item("What else?", ()),
]
ROWS = [
    ["alder", "yes", "no", "few", "<b>Nothing</b>"],
    ["alder", "yes", "", "many", ""],
    ["birch", "so-so", "yes", "many", "A lot, really"],
]


def _write(path, rows, header=("site", *(item.wording for item in ITEMS))):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def test_answers_are_counted_by_hand(tmp_path):
    summary = survey.summarize(_write(tmp_path / "answers.csv", ROWS), ITEMS)
    assert summary == {
        "respondents": 3,
        "sites": 2,
        "scales": [
            {
                "item": "Easy, was it?",
                "missing": 0,
                "levels": ["no", "so-so", "yes"],
                "counts": [0, 1, 2],
            },
            {
                "item": "Useful?",
                "missing": 1,
                "levels": ["no", "so-so", "yes"],
                "counts": [1, 0, 1],
            },
            {"item": "Hours?", "missing": 0, "levels": ["few", "many"], "counts": [1, 2]},
        ],
        "texts": [
            {"item": "What else?", "missing": 1, "answers": ["<b>Nothing</b>", "A lot, really"]}
        ],
    }


def test_the_site_need_not_be_asked_and_columns_have_any_order(tmp_path):
    header = [item.wording for item in reversed(ITEMS)]
    path = _write(tmp_path / "answers.csv", [row[:0:-1] for row in ROWS], header)
    summary = survey.summarize(path, ITEMS)
    assert summary["sites"] == 0
    assert summary["scales"][0]["counts"] == [0, 1, 2]


def test_empty_rows_are_nobody_and_the_number_of_respondents_is_bounded(tmp_path, monkeypatch):
    empty = [""] * len(ROWS[0])
    path = _write(tmp_path / "answers.csv", [empty, *ROWS, empty])
    assert survey.summarize(path, ITEMS) == survey.summarize(
        _write(tmp_path / "full.csv", ROWS), ITEMS
    )
    monkeypatch.setattr(survey, "MOST", len(ROWS) - 1)
    with pytest.raises(
        ValueError, match=f"has {len(ROWS)} respondents, must have 1 to {len(ROWS) - 1}"
    ):
        survey.summarize(path, ITEMS)


def test_the_questionnaire_has_scales_that_a_figure_can_show():
    items = survey.read_questionnaire()
    assert len(items) == len({item.wording for item in items} - {"", survey.SITE}) == 10
    assert all(len({*item.levels} - {""}) == len(item.levels) < 8 for item in items)
    assert items[0].levels[0] == "strongly disagree"
    assert [item.levels for item in items[-2:]] == [(), ()]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            ("row", 1, 2, "perhaps"),
            "line 3: Useful\\? is 'perhaps': use one of no, ",
        ),
        (
            ("header", 0, "Name"),
            "line 1: column 1 is not an item of the questionnaire; remove it",
        ),
        (("header", 1, "Useful?"), "line 1: columns .*'Useful\\?'.* are missing or doubled"),
        (("lost", 3), "line 1: columns .'Hours\\?'. are missing or doubled"),
        (
            ("row", 1, slice(2, 3), ["a", "b"]),
            "line 3: 6 cells, but the header has 5; .*quote cells",
        ),
        (("row", 1, 4, "a\x00b"), "line 3: What else\\? is 'a.*b': remove its control"),
        (("empty",), "has 0 respondents"),
    ],
)
def test_bad_answers_are_named(tmp_path, change, message):
    header = ["site", *(item.wording for item in ITEMS)]
    rows = [list(row) for row in ROWS]
    match change:
        case "row", at, column, value:
            rows[at][column] = value
        case "header", column, value:
            header[column] = value
        case "lost", column:
            header.pop(column)
            rows = [row[:column] + row[column + 1 :] for row in rows]
        case _:
            rows = []
    with pytest.raises(ValueError, match=f"answers.csv.*: .*{message}|answers.csv, {message}"):
        survey.summarize(_write(tmp_path / "answers.csv", rows, header), ITEMS)


def test_bars_stand_on_both_sides_of_the_middle(tmp_path):
    summary = survey.summarize(_write(tmp_path / "answers.csv", ROWS), ITEMS)
    first, second, third = summary["scales"]
    assert first["levels"] == second["levels"] != third["levels"]
    figure = survey.draw(first["levels"], [first, second])
    bars = sorted(
        (float(bar.get_y() > 0.5), bar.get_x(), bar.get_width())
        for bar in figure.axes[0].patches
        if bar.get_width() > 0
    )
    part = 100 / 3
    expected = [(0, -part / 2, part), (0, part / 2, 2 * part), (1, -50, 50), (1, 0, 50)]
    np.testing.assert_allclose(bars, expected)


@pytest.mark.parametrize("count", range(2, 8))
def test_each_level_has_its_colour_and_only_a_middle_level_is_grey(count):
    levels = [f"level {n}" for n in range(count)]
    (axes,) = survey.draw(levels, [{"item": "?", "counts": [1] * count}]).axes
    colours = [to_hex(bar.get_facecolor()) for bar in axes.patches]
    assert len(set(colours)) == count
    assert (survey.MIDDLE in colours) == (count % 2 == 1)


def test_the_page_shows_answers_escaped_and_without_their_site(built, tmp_path):
    results = json.loads((built / "results.json").read_text())
    assert results["survey"] is None
    assert "Survey of participants" not in (built / "report.html").read_text()
    results["survey"] = survey.summarize(_write(tmp_path / "answers.csv", ROWS), ITEMS)
    path = tmp_path / "report.html"
    path.write_text(page.render(results))
    dom, console = browse(path, tmp_path)
    assert console == []
    text = text_of(dom)
    assert "3 respondents of 2 sites" in text
    assert "<b>Nothing</b> A lot, really 2 answers" in text
    assert "<b>Nothing</b>" not in dom
    assert "no: 1, so-so: 0, yes: 1" in text
    assert page.render(results) == path.read_text()


def test_the_program_takes_answers_from_the_flag_or_the_config(copy, program, tmp_path):
    items = survey.read_questionnaire()
    row = [item.levels[-1] if item.levels else "fine" for item in items]
    answers = _write(tmp_path / "answers.csv", [row], [item.wording for item in items])
    flags = (f"--workdir={copy}", "--resamples=20")
    done = program(*flags, f"--survey={answers}")
    assert done.returncode == 0, done.stderr
    assert json.loads((copy / "results.json").read_text())["survey"]["respondents"] == 1
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["config"]["survey"] = str(answers)
    (copy / "manifest.json").write_text(json.dumps(manifest))
    done = program(*flags)
    assert done.returncode == 0, done.stderr
    assert "I would take part" in text_of((copy / "report.html").read_text())
    answers.write_text("Name\nDoe\n")
    done = program(*flags)
    assert done.returncode == 1
    assert "column 1 is not an item" in done.stderr


def test_without_answers_there_is_no_figure_and_each_scale_has_one(tmp_path):
    assert survey.summarize("") is None
    assert survey.figures(None) == []
    answers = _write(tmp_path / "answers.csv", ROWS)
    assert len(survey.figures(survey.summarize(answers, ITEMS))) == 2
