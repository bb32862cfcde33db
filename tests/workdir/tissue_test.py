"""Amounts of tissue are measured once, kept with their dataset's digest, and read without pixels."""

import json
import shutil

import make_site
import numpy as np
import pytest

from fl_jax.data import slices as datasets
from fl_jax.data.dataset import prepare
from fl_jax.evaluation import tissue
from fl_jax.workdir import Workdir, tissue_of
from fl_jax.workdir import tissue as module


@pytest.fixture(name="data", scope="module")
def _data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tissue")
    source = make_site.write_cohort(folder / "cohort", {"alpha": 3})
    prepare(source, data_dir=folder / "data", image_size=16, workers=0)
    return folder / "data"


def _same(one, other):
    assert all(np.array_equal(*pair) for pair in zip(one, other, strict=True))


def test_pixels_are_read_once(data, tmp_path, monkeypatch):
    workdir, slices = Workdir(tmp_path), datasets.load(data)
    images = slices.image[2:7].tolist()
    measured = tissue_of(workdir, data, images)
    assert not isinstance(measured, str)
    _same(measured, tissue.measure(slices, np.arange(2, 7)))
    assert measured.unit == tissue.CM2
    assert measured.soft.min() > 0
    monkeypatch.setattr(module, "load", lambda _: pytest.fail("pixels were read"))
    _same(tissue_of(workdir, data, images), measured)
    _same(tissue_of(workdir, tmp_path / "nowhere", images), measured)
    _same(tissue_of(workdir, data, images[1:3])[:3], [values[1:3] for values in measured[:3]])


def test_what_is_stored_for_other_images_or_another_dataset_is_measured_again(data, tmp_path):
    workdir, images = Workdir(tmp_path), datasets.load(data).image
    tissue_of(workdir, data, images[:2].tolist())
    assert tissue_of(workdir, data, images.tolist())[0].size == images.size
    stored = json.loads(workdir.tissue.read_text())
    for other in (["0", stored["dataset"][1]], [stored["dataset"][0], {"image_size": 9}]):
        workdir.tissue.write_text(json.dumps(stored | {"dataset": other, "soft": [0] * 9}))
        assert tissue_of(workdir, data, images.tolist())[1].min() > 0


def test_if_they_cannot_be_measured_the_reason_is_said(data, tmp_path):
    workdir = Workdir(tmp_path)
    assert tissue_of(workdir, tmp_path / "no", ["a"]) == "the dataset is missing"
    lacks = "the dataset lacks 1 of 2 images"
    assert tissue_of(workdir, data, ["a", "ID_alpha_0_0"]) == lacks
    assert not workdir.tissue.exists()
    shutil.copytree(data, tmp_path / "copy", ignore=lambda *_: ["slices"])
    assert tissue_of(workdir, tmp_path / "copy", ["ID_alpha_0_0"]) == "the dataset is missing"
    tissue_of(workdir, data, ["ID_alpha_0_0"], keep=False)
    assert not workdir.tissue.exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"unit": "acres"}, "unit is neither"),
        ({"soft": []}, "different lengths"),
        ({"soft": [-1.0] * 9}, "soft"),
        ({"bright": [float("nan")] * 9}, "bright"),
    ],
)
def test_a_table_that_is_none_is_refused(data, tmp_path, change, words):
    workdir, images = Workdir(tmp_path), datasets.load(data).image.tolist()
    tissue_of(workdir, data, images)
    stored = json.loads(workdir.tissue.read_text())
    workdir.tissue.write_text(json.dumps(stored | change))
    with pytest.raises(ValueError, match=rf"tissue\.json.*{words}.*delete it"):
        tissue_of(workdir, data, images)
