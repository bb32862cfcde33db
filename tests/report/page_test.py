"""The page shows `results.json`, all of its numbers and no others, in any browser window."""

import json
import re

import fake_experiment
import pytest
from browser import browse, text_of

from fl_jax.report import cases, page, pictures


def _results(workdir):
    return json.loads((workdir / "results.json").read_text())


def _page(workdir) -> str:
    return (workdir / "report.html").read_text()


def test_the_page_is_drawn_from_results_json_and_pictures_alone(built):
    results = _results(built)
    names = [case["image"] for case in results["cases"]]
    shown = {n: pictures.case_pictures(hu) for n, hu in fake_experiment.heads(names).items()}
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
    shown = {
        number for cell in cells for number in re.findall(r"(?<![\d.])\d\.\d{2,4}(?![\d.])", cell)
    }
    assert len(shown) > 300
    assert shown <= known


def test_the_page_states_data_methods_and_provenance(built):
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


def test_names_from_files_cannot_inject_markup(built):
    text = (built / "results.json").read_text().replace("alder", "<b>$a$ & b</b>")
    source = page.render(json.loads(text))
    assert "<b>$a$" not in source
    assert "&lt;b&gt;$a$ &amp; b&lt;/b&gt;" in source


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


def test_tables_and_figures_are_numbered_without_a_gap(built):
    for results in (_results(built), _results(built) | {"gains": {}, "learning": {}}):
        text = page.render(results)
        for kind in ("Table", "Figure"):
            numbers = [int(n) for n in re.findall(rf"<b>{kind} (\d+)", text)]
            assert sorted(set(numbers)) == list(range(1, max(numbers) + 1))
