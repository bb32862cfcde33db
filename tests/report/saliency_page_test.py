import json

import fake_experiment
import numpy as np
import pytest
from browser import text_of

from fl_jax.files.regular import sha256
from fl_jax.report import pictures
from fl_jax.report.build import build
from fl_jax.workdir import Workdir


def _interval(value):
    return {"estimate": value, "low": value - 0.01, "high": value + 0.01}


@pytest.fixture
def explained(copy):
    """An experiment with what `launch.explain` leaves."""
    row = {
        **{"fit": 1234, "slices": 40, "patients": 7, "checked_slices": 16},
        **{
            "share": _interval(0.3217),
            "chance": _interval(0.0431),
            "difference": _interval(0.2786),
        },
        **{"random_share": _interval(0.0519), "checked_share": _interval(0.3)},
        "correlation": {"Conv_0": _interval(0.6123), "all": _interval(-0.1234)},
    }
    saliency = {
        **{
            "model": "federated",
            "round": 3,
            "method": "SmoothGrad",
            "samples": 16,
            "noise_hu": 5.0,
        },
        **{"slices": "hold-out slices with a lesion", "seed": 0, "resamples": 50},
        "predictions": sha256(copy / "predictions" / "federated.csv"),
        "subtypes": {"epidural": row, "subdural": None},
    }
    (copy / "saliency.json").write_text(json.dumps(saliency))
    (copy / "saliency").mkdir()
    (copy / "saliency" / "epidural.png").write_bytes(pictures.png(np.zeros((8, 8), np.uint8)))
    return copy


def _built(workdir):
    build(Workdir(workdir), resamples=20, thumbnails=fake_experiment.heads)
    return (workdir / "report.html").read_text()


def test_maps_are_shown_with_their_numbers_and_panels(explained):
    page = _built(explained)
    text = text_of(page)
    for wanted in ("0.322", "0.043", "+0.279", "0.052", "−0.12", "0.61", "40 of 1 234"):
        assert wanted in text, wanted
    assert "subdural no slice with this lesion" in text
    assert 'alt="Slices, lesions and maps of epidural"' in page


def test_maps_of_other_predictions_are_not_shown(explained):
    path = explained / "predictions" / "federated.csv"
    path.write_text(path.read_text().replace("\n", "\r\n"))
    page = _built(explained)
    assert "made from other predictions than this report's" in text_of(page)
    assert "Slices, lesions and maps of" not in page
    assert "maps of epidural" not in page


def test_a_broken_file_is_named(explained):
    (explained / "saliency.json").write_text("{")
    with pytest.raises(ValueError, match=r"saliency\.json: .* run its stage again"):
        _built(explained)


def test_without_maps_the_page_is_without_the_section(built):
    assert 'id="saliency"' not in (built / "report.html").read_text()
