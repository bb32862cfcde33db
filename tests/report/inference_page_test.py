"""What a reader sees of scans without labels: verdicts, warnings, and slices as the files have them."""

import base64
import re

import cv2
import make_dicom
import numpy as np
import pytest
from browser import browse, text_of
from loose_scans import loose

from fl_jax.data.domain import Domain
from fl_jax.evaluation.call_rule import Rule, Threshold
from fl_jax.report import inference_page, unlabelled_scans, verdicts
from fl_jax.report.inference_page import Comparison, Scans
from fl_jax.report.unlabelled_scans import Refused

MODEL = {"name": "federated", "round": 3}
CHOSEN = Threshold(0.5, True, 40, 1234, 34)
RULE = Rule(6 * (CHOSEN,), 6 * (Threshold(0.6, True, 14, 20, 34),), None)
STUDY = Domain(30, 3, 0.5, 128, 130, 160, 5, 4)
RANGES = dict.fromkeys(Domain._fields, (0.0, 200.0))
COMPARISON = Comparison(
    {"P1.1": STUDY, "P2.1": STUDY._replace(noise=7.9)},
    RANGES | {"noise": (2.1, 4.8)},
    "150 of 178 training studies",
)


@pytest.fixture(name="slices")
def _slices(slices):
    """Two patients of 3 and 5 slices, of which the second one's have hemorrhage."""
    return loose(slices)


@pytest.fixture(name="predicted")
def _predicted(slices):
    scores = np.full((8, 6), 0.1)
    scores[:5, :3] = 0.9
    return unlabelled_scans.collect(slices, scores)


def render(predicted, slices, *, source=None, comparison=COMPARISON, rule=RULE, refused=()):
    scans = Scans(slices, source, refused, {"turned about": 7})
    return inference_page.render(predicted, scans, rule, comparison, MODEL)


def test_a_browser_shows_verdicts_warnings_and_slices_in_order(predicted, slices, tmp_path):
    refused = [Refused("truncated", 300, [("b/<9>", "short")])]
    page = render(predicted, slices, refused=refused)
    (tmp_path / "page.html").write_text(page)
    dom, console = browse(tmp_path / "page.html", tmp_path)
    assert console == []
    text = text_of(dom)
    for words in (
        *("8 slices of 2 patients", "1 of 2 patients is called: P2."),
        "threshold 0.500 (90 % specificity on 1 234 normal slices of the 34 validation patients)",
        "on 14 validation patients with and 20 without hemorrhage",
        "1 of 2 studies lies outside the training scans' range: noise (1).",
        "noise 7.9 HU; training scans had 2.1 to 4.8",
        "centre 40 and width 80 HU, some or all at the model’s input size of 8 pixels",
        *("300 files refused", "truncated: 300", "b/<9>", "And 299 more"),
        *("Repaired slices: turned about (7).", "−2.5 mm"),
    ):
        assert words in text, words
    places = [
        text.rindex(name) for name in ["b/1", "b/0", "b/3", "b/4", "b/2", "a/5", "a/6", "a/7"]
    ]
    assert places == sorted(places)  # the called patient first, each series from the feet up
    assert dom.count("data:image/jpeg;base64,") == 8
    assert dom.count('class="is-called"') == 5
    assert not any(name in page for name in ("DOE", "ROE", "1.2.3", "1.2.4"))
    assert "://" not in page


def test_pictures_have_the_resolution_of_the_files(predicted, slices, tmp_path):
    for image in slices.image.tolist():
        path = tmp_path / image
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(
            make_dicom.ct(make_dicom.disc(rows=128, columns=160), PixelSpacing=[0.8, 0.8])
        )
    page = render(predicted, slices, source=tmp_path)
    assert "from the DICOM files at their resolution, up to 512 pixels" in page
    pictures = re.findall(r"data:image/jpeg;base64,([^\"]+)", page)
    assert len(pictures) == 8
    first = cv2.imdecode(np.frombuffer(base64.b64decode(pictures[0]), np.uint8), -1)
    assert first.shape == (160, 160)  # not stretched: air above and below
    assert first[:12].max() < 10
    assert first[70:90, 70:90].mean() == pytest.approx(255 * 35 / 80, abs=4)
    assert f"width:{100 * 50 / 128:.2f}%" in page  # the bar of 50 mm
    (tmp_path / "b" / "0").unlink()
    assert "some or all at the model’s input size" in render(predicted, slices, source=tmp_path)


def test_a_page_has_at_most_so_many_pictures_and_says_what_it_omits(predicted, slices, monkeypatch):
    monkeypatch.setattr(inference_page, "MAX_PICTURES", 6)
    page = text_of(render(predicted, slices))
    assert "1 of 3 slices are shown" in page
    monkeypatch.setattr(inference_page, "MAX_BYTES", 0)
    page = text_of(render(predicted, slices))
    assert "0 of 3 slices are shown, because the page is full" in page
    monkeypatch.undo()
    monkeypatch.setattr(verdicts, "EVERY", 7)
    page = text_of(render(predicted, slices))
    assert "3 of 3" not in page
    assert "2 of 3 slices are shown: the highest probability and its neighbours" in page


def test_what_is_not_known_is_said(predicted, slices):
    lost = Comparison(COMPARISON.studies, None, "the ranges are not known, because of this")
    few = Threshold(float("nan"), False, 1, 2, 3)
    rule = Rule(6 * (Threshold(0.5, False, 3, 4, 3),), 6 * (few,), None)
    text = text_of(render(predicted, slices, comparison=lost, rule=rule))
    assert "could not be compared with the training scans: the ranges are not known" in text
    assert "threshold 0.500 (fixed, because validation has 4 normal slices" in text
    assert "called if one of the slices is: 1 validation patients with and 2 without" in text
    assert "validation has too few patients for a threshold of epidural, intraparenchymal" in text


def test_one_study_or_none_outside_in_a_sentence():
    one = Comparison({"P1.1": STUDY._replace(noise=9)}, COMPARISON.ranges, "")
    assert inference_page.differences(one).startswith(
        "The study lies outside the training scans' range: noise. "
    )
    inside = Comparison({"P1.1": STUDY}, COMPARISON.ranges, "")
    assert inference_page.differences(inside) == (
        "All studies lie within the training scans' ranges."
    )
