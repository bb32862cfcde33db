import json
from pathlib import Path

import pytest
from fuzzing import no_file_above
from round_record import record

from fl_jax.experiment.metrics import Metrics
from fl_jax.files.disk_errors import explain_full_disk


def test_metrics_hold_each_round_once_after_a_restart(tmp_path):
    log = Metrics(tmp_path / "metrics.jsonl")
    for number in (1, 2, 3):
        log.record(record(number))
    log.close()
    again = Metrics(tmp_path / "metrics.jsonl")
    again.record(record(2))  # the checkpoint of round 3 was lost
    again.record(record(3))
    again.close()
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["round"] for line in lines] == [1, 2, 3]


def test_a_line_that_a_crash_cut_off_is_dropped(tmp_path):
    log = Metrics(tmp_path / "metrics.jsonl")
    log.record(record(1))
    log.record(record(2))
    log.close()
    path = tmp_path / "metrics.jsonl"
    path.write_text(path.read_text()[:-20])
    again = Metrics(tmp_path / "metrics.jsonl")
    assert [r["round"] for r in again.records()] == [1]
    again.record(record(2))
    again.record(record(3))
    again.close()
    assert [json.loads(line)["round"] for line in path.read_text().splitlines()] == [1, 2, 3]


@pytest.mark.parametrize("change", [Path.unlink, lambda path: path.write_text("")])
def test_rounds_deleted_during_a_training_are_missed(tmp_path, change):
    path = tmp_path / "metrics.jsonl"
    log = Metrics(path)
    log.record(record(1))
    change(path)
    with pytest.raises(ValueError, match=r"metrics.jsonl: another program changed it"):
        log.record(record(2))
    again = Metrics(path)
    with pytest.raises(ValueError, match=r"lacks rounds 1 to 1; restore it"):
        again.record(record(2))


def test_a_disk_that_fills_up_in_the_middle_of_a_line_is_no_success(tmp_path):
    log = Metrics(tmp_path / "metrics.jsonl")
    log.record(record(1))
    path = tmp_path / "metrics.jsonl"
    with (
        no_file_above(path.stat().st_size + 20),
        pytest.raises(OSError, match="No space left") as raised,
    ):
        log.record(record(2))
    assert explain_full_disk(raised.value).startswith(f"{path} cannot be written: the disk is full")
    log.record(record(2))  # there is room again
    log.close()
    assert [json.loads(line)["round"] for line in path.read_text().splitlines()] == [1, 2]
