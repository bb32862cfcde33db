import json
import re

import fake_study
import numpy as np
import pytest
from browser import browse, text_of
from sklearn import metrics

from fl_jax.core.types import LABELS
from fl_jax.data.slices import Slices
from fl_jax.evaluation import predictions, roc
from fl_jax.report import cases, page, pictures
from fl_jax.report.build import build, dataset_thumbnails
from fl_jax.workdir import Workdir


def _results(workdir):
    return json.loads((workdir / "results.json").read_text())


def _page(workdir) -> str:
    return (workdir / "report.html").read_text()


def test_the_page_is_drawn_from_results_json_and_pictures_alone(built):
    results = _results(built)
    names = [case["image"] for case in results["cases"]]
    shown = {n: pictures.case_pictures(hu) for n, hu in fake_study.heads(names).items()}
    assert page.render(results, shown) == _page(built)


def test_a_changed_result_changes_the_page(built):
    results = _results(built)
    cell = results["performance"]["holdout"]["federated"]["auroc"]["micro"]
    shown = f"{cell['estimate']:.4f}"
    assert shown in text_of(_page(built))
    cell["estimate"] = 0.12344
    text = text_of(page.render(results))
    assert shown not in text
    assert "0.1234" in text


def test_every_number_of_the_tables_is_in_results(built):
    results = _results(built)
    known: set[str] = set()

    def walk(value):
        if isinstance(value, dict):
            for item in value.values():
                walk(item)
        elif isinstance(value, list):
            for item in value:
                walk(item)
        elif isinstance(value, float):
            known.update(f"{abs(value):.{digits}f}" for digits in (1, 2, 3, 4))

    walk({name: results[name] for name in results if name not in ("roc", "learning")})
    cells = re.findall(r"<td[^>]*>(.*?)</td>", _page(built), flags=re.DOTALL)
    cells = [re.sub(r'title="[^"]*"', "", cell) for cell in cells]
    found = {
        number for cell in cells for number in re.findall(r"(?<![\d.])\d\.\d{2,4}(?![\d.])", cell)
    }
    assert len(found) > 300
    assert found <= known


def test_estimates_are_those_of_the_prediction_files(built):
    table = _results(built)["performance"]
    data = predictions.read(built / "predictions" / "local_birch.csv")
    held = predictions.select(data, data.split == "holdout")
    own = predictions.select(data, (data.split == "test") & (data.site == "birch"))
    for name, rows in (("holdout", held), ("birch", own)):
        cells = table[name]["local_birch"]
        assert cells["auroc"]["micro"]["estimate"] == pytest.approx(
            metrics.roc_auc_score(rows.truth.ravel(), rows.scores.ravel()), abs=1e-12
        )
        assert cells["average_precision"]["any"]["estimate"] == pytest.approx(
            metrics.average_precision_score(rows.truth[:, 0], rows.scores[:, 0]), abs=1e-12
        )
        assert cells["f1_at_0.4"]["any"]["estimate"] == pytest.approx(
            metrics.f1_score(rows.truth[:, 0], rows.scores[:, 0] >= 0.4)
        )


@pytest.mark.parametrize("model", ["local_alder", "federated"])
def test_an_operating_point_comes_from_the_validation_data_that_a_model_may_see(built, model):
    data = predictions.read(built / "predictions" / f"{model}.csv")
    seen = data.split == "validation"
    if model == "local_alder":
        seen &= data.site == "alder"
    results = _results(built)
    expected = roc.youden_threshold(data.truth[seen, 0], data.scores[seen, 0])
    assert results["thresholds"][model]["any"] == expected
    test = data.split == "holdout"
    recall = metrics.recall_score(data.truth[test, 0], data.scores[test, 0] >= expected)
    cell = results["performance"]["holdout"][model]["recall_at_youden"]["any"]
    assert cell["estimate"] == pytest.approx(recall)


def test_differences_are_paired_and_gains_have_a_verdict(built):
    results = _results(built)
    table = results["performance"]["holdout"]
    gap = results["federated_minus_central"]["holdout"]["auroc/micro"]
    assert gap["estimate"] == pytest.approx(
        table["federated"]["auroc"]["micro"]["estimate"]
        - table["central"]["auroc"]["micro"]["estimate"]
    )
    single = table["federated"]["auroc"]["micro"]
    assert gap["high"] - gap["low"] < single["high"] - single["low"]
    verdicts = {site: gain["verdict"] for site, gain in results["gains"].items()}
    assert verdicts["alder"] == "loses"
    assert verdicts["elm"] == "gains"
    assert list(verdicts) == list(fake_study.SITES)


def test_cross_site_json_is_data_site_by_model(built):
    matrix = json.loads((built / "cross_site.json").read_text())
    assert list(matrix) == [*fake_study.SITES, "holdout"]
    for row in matrix.values():
        assert len(row) == 7
        assert sorted(cell["auroc/micro"]["rank"] for cell in row.values())[0] == 1
    assert matrix == _results(built)["cross_site"]
    ranks = [matrix[site]["federated"]["auroc/micro"]["rank"] for site in fake_study.SITES]
    mean = _results(built)["mean_rank"]["auroc/micro"]["federated"]
    assert mean == pytest.approx(np.mean(ranks))


def test_the_page_says_what_the_issue_asks(built):
    text = text_of(_page(built))
    for wanted in (
        "0.9487 0.9471–0.9503",  # the published figures
        "0.9753 0.9742–0.9764",
        "treat slices of one patient as independent",
        "real patients of five neurosurgery departments",
        "alder loses",
        "60 patients",
        "truncated pixels (2)",
        "labels without image (3)",
        "12-bit wraparound",
        "0.24 % of all files were refused",
        "cohort.scale",
        "adam(3e-4)",
        "0.10.2",
        "0123456789ab-dirty",
        "x86_64, 2 cores",
        "refused: not finite elm 2 3, 4",
        "6 min 43 s",
        "brain (40/80 HU)",
        "Mean rank",
    ):
        assert wanted in text, wanted
    shown = len(_results(built)["cases"])
    assert 16 <= shown <= 4 * cases.CASES_PER_OUTCOME
    assert _page(built).count("<img ") == 3 * shown  # with the slices below and above


def test_a_second_build_gives_the_same_bytes(built, copy):
    build(Workdir(copy), resamples=60, thumbnails=fake_study.heads)
    for name in ("results.json", "cross_site.json", "report.html"):
        assert (copy / name).read_bytes() == (built / name).read_bytes()
    assert not list(copy.glob("*.partial"))


def test_without_a_hold_out_the_pooled_test_patients_are_the_primary_data(copy):
    for path in (copy / "predictions").glob("*.csv"):
        data = predictions.read(path)
        predictions.write(path, predictions.select(data, data.split != "holdout"))
    results = build(Workdir(copy), resamples=20)
    assert results["primary"]["data"] == "all_sites"
    assert "test patients of all hospitals" in text_of(_page(copy))


def test_without_a_hold_out_personal_models_have_an_operating_point_like_the_others(copy):
    fake_study.add_personal(copy)
    for path in (copy / "predictions").glob("*.csv"):
        data = predictions.read(path)
        predictions.write(path, predictions.select(data, data.split != "holdout"))
    build(Workdir(copy), resamples=20)
    page = _page(copy)
    assert "<summary>Personal</summary>" in page
    assert "n/a" not in text_of(page)


def test_names_from_files_cannot_inject_markup(built):
    text = (built / "results.json").read_text().replace("alder", "<b>$a$ & b</b>")
    source = page.render(json.loads(text))
    assert "<b>$a$" not in source
    assert "&lt;b&gt;$a$ &amp; b&lt;/b&gt;" in source


def test_models_that_were_judged_on_other_images_are_refused(copy):
    path = copy / "predictions" / "central.csv"
    data = predictions.read(path)
    predictions.write(path, predictions.select(data, np.arange(data.image.size) != 3))
    with pytest.raises(ValueError, match="the models 'federated' and 'central' differ in 'image'"):
        build(Workdir(copy), resamples=20)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("manifest.json", "{", "manifest.json: .*; delete it and run its stage again"),
        ("manifest.json", "[]", "manifest.json: it is \\[\\]: Expected .object"),
        ("models/central/metrics.jsonl", '{"round": 1}\n{"rou', "metrics.jsonl, line 2: "),
        (
            "models/central/metrics.jsonl",
            "{}",
            "metrics.jsonl, line 1: it is {}: .*missing required field .round",
        ),
        ("partition.csv", "patient,site\n", "partition.csv: the first line must be patient,site,"),
    ],
)
def test_a_broken_file_is_named(copy, name, text, message):
    (copy / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        build(Workdir(copy), resamples=20)
    assert not (copy / "report.html").exists()


def test_without_predictions_there_is_nothing_to_report(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"run launch\.experiment with --workdir="):
        build(Workdir(tmp_path))


def test_the_program_builds_the_page_with_the_studys_options_and_prints_the_answer(copy, program):
    done = program(f"--workdir={copy}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(
        "On 60 hold-out patients the federated model reaches an AUROC of "
    )
    assert (copy / "report.html").exists()
    assert _results(copy)["bootstrap"] == {"resamples": 30, "seed": 0, "level": 0.95}


def test_the_program_takes_other_options_and_refuses_a_folder_in_one_line(
    copy, program, monkeypatch
):
    monkeypatch.setenv("HOME", str(copy.parent))
    done = program("--workdir=~/work", "--resamples=20", "--seed=7")
    assert done.returncode == 0, done.stderr
    assert _results(copy)["bootstrap"] == {"resamples": 20, "seed": 7, "level": 0.95}
    done = program("--workdir=~/typo")
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1


def test_a_browser_shows_the_numbers_and_has_nothing_to_say(built, tmp_path):
    dom, console = browse(built / "report.html", tmp_path)
    assert console == []
    text = text_of(dom)
    results = _results(built)
    for model in ("federated", "central"):
        cell = results["performance"]["holdout"][model]["auroc"]["micro"]
        assert f"{cell['estimate']:.4f} {cell['low']:.4f}–{cell['high']:.4f}" in text
    assert dom.count("<svg") > 10
    assert "</footer>" in dom


def test_a_page_that_asks_the_network_would_be_noticed(built, tmp_path):
    path = tmp_path / "bad.html"
    path.write_text(
        _page(built).replace("<footer>", '<img src="http://example.invalid/a.png"><footer>')
    )
    _, console = browse(path, tmp_path)
    assert any("Content Security Policy" in line for line in console)


@pytest.mark.parametrize("width", [500, 1280])
def test_the_page_is_never_wider_than_its_window(built, tmp_path, width):
    path = tmp_path / "wide.html"
    probe = "document.title = [document.documentElement.scrollWidth, innerWidth].join(' ')"
    path.write_text(_page(built).replace("</body>", f"<script>{probe}</script></body>"))
    dom, _ = browse(path, tmp_path, f"--window-size={width},900")
    title = re.search(r"<title>(\d+) (\d+)</title>", dom)
    assert title is not None
    content, window = map(int, title.groups())
    assert content <= window
    assert abs(window - width) < 40


def test_cases_are_chosen_by_rule():
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.55, 0.4, 0.3, 0.2, 0.1, 0.05])
    truth = np.array([0, 0, 1, 1, 1, 1, 1, 0, 0, 0])
    count = scores.size
    data = predictions.Predictions(
        np.array([f"i{n}" for n in range(count)]),
        np.array(["a", "a", "b", "c", "d", "e", "f", "g", "h", "h"]),
        np.full(count, "north"),
        np.full(count, "test"),
        np.repeat(truth[:, None], len(LABELS), axis=1).astype(np.uint8),
        np.repeat(scores[:, None], len(LABELS), axis=1),
    )
    chosen = cases.choose(data, np.full(len(LABELS), 0.5), per_outcome=2)
    assert [(case["outcome"], case["image"]) for case in chosen] == [
        ("true positive", "i2"),  # the spread from the highest to the lowest
        ("true positive", "i4"),
        ("false positive", "i0"),  # i1 is of the same patient
        ("false negative", "i6"),  # the most confident first
        ("false negative", "i5"),
        ("true negative", "i7"),
        ("true negative", "i8"),
    ]
    assert chosen[0]["truth"] == list(LABELS)
    assert chosen[3]["called"] == []
    assert cases.choose(None, None) == []
    assert cases.choose(data, np.full(len(LABELS), np.nan)) == []


def test_pictures_come_from_the_dataset_by_name(monkeypatch):
    pixels = np.arange(3 * 4, dtype=np.int16).reshape(3, 2, 2)
    texts, series = np.array(["c", "a", "b"]), np.full(3, "s")
    numbers = np.array([0, 5, 10], np.float32)
    labels = np.zeros((3, len(LABELS)), np.uint8)
    slices = Slices(
        texts, series, series, series, series, numbers, labels, numbers, (2, 2), None, pixels
    )
    monkeypatch.setattr("fl_jax.data.slices.load", lambda data_dir: slices)
    found = dataset_thumbnails("anywhere")(["a", "unknown", "c"])
    assert {name: hu.tolist() for name, hu in found.items()} == {
        "a": pixels[[0, 1, 2]].tolist(),
        "c": pixels[[0, 0, 1]].tolist(),  # the series begins here
    }


def test_windows_by_hand():
    grey = pictures.windowed(np.array([[0, 40, 80, -150, 230]], np.int16))
    assert grey.shape == (1, 15)
    assert grey[0, :5].tolist() == [0, 128, 255, 0, 255]  # brain: 0 to 80 HU
    assert grey[0, 5:10].tolist() == [26, 76, 128, 0, 255]  # subdural: -20 to 180 HU
    assert grey[0, 10:].tolist() == [101, 128, 154, 0, 255]  # soft tissue: -150 to 230 HU
