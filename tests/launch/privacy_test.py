"""Nothing that a study writes holds a name, a birth date or an identifier of a person."""

import planted
import pytest

from configs import demo
from fl_jax.data.dataset import prepare
from fl_jax.data.slices import load
from fl_jax.experiment.config import Config
from fl_jax.experiment.train import train_arm
from fl_jax.report.build import build
from fl_jax.workdir import Workdir


@pytest.fixture(name="source", scope="module")
def _source(tmp_path_factory):
    return planted.write(tmp_path_factory.mktemp("source"), {"a": 4, "b": 4, "holdout": 2})


def test_the_search_finds_what_is_there(source):
    wanted = planted.secrets(source)
    found = planted.leaks(source, wanted)
    assert {secret for _, secret in found} == wanted


def test_dataset_checkpoints_predictions_and_report_hold_no_person(source, tmp_path):
    wanted = planted.secrets(source)
    prepare(source, data_dir=tmp_path / "data", image_size=16, workers=0)
    opened = load(tmp_path / "data")
    records = opened.source.__getitems__(list(range(len(opened))))  # compressed on disk
    assert not [s for s in wanted for record in records if s in record["image"]]
    config = demo.get_config()
    config.image_size = 16
    config.model = "resnet(widths=(4,), blocks=(1,), strides=(1,), stem=4)"
    config.rounds, config.min_sites, config.layout = 1, 2, "sequential"
    train_arm(Config.of(config), Workdir(tmp_path))
    build(Workdir(tmp_path), resamples=10)
    written = {path.suffix for path in tmp_path.rglob("*") if path.is_file()}
    assert {".csv", ".json", ".jsonl", ".html", ".png"} < written
    assert not planted.leaks(tmp_path, wanted)
