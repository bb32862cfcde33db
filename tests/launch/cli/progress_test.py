import errno
import io
import json

import pytest
from fuzzing import no_file_above
from rich.console import Console

from fl_jax.experiment import metrics as metrics_log
from fl_jax.workdir import locks as folder
from launch.cli import progress
from launch.cli.progress import Bars


def record(number, auroc=0.9):
    return {
        "round": number,
        "loss": 0.5,
        "val_loss": 0.4,
        "val_macro_auroc": auroc,
        "images_per_second": 100.0,
        "site_loss": {"a": 0.5},
        "left_out": {},
        "void": False,
    }


def test_lines_sum_up_small_events_and_lose_none():
    out = io.StringIO()
    lines = progress.Lines(out)
    lines.show({"model": "central", "budget": 48, "rounds": 1})
    for _ in range(3):
        lines.show({"model": "central", "examples": 16})
    lines.show({"model": "central", "record": record(1)})
    events = [json.loads(line) for line in out.getvalue().splitlines()]
    assert sum(event["examples"] for event in events) == 48
    assert events[0]["budget"] == 48
    assert events[-1]["record"]["round"] == 1


def test_bars_take_the_events_of_several_models():
    bars = progress.Bars(Console(file=io.StringIO()))
    for model in ("central", "federated"):
        bars.show({"model": model, "budget": 32, "rounds": 2})
        bars.show({"model": model, "examples": 16})
        bars.show({"model": model, "record": record(1, None), "examples": 0})
    assert [task.completed for task in bars.progress.tasks] == [16, 16]
    assert "AUROC undefined" in bars.progress.tasks[0].fields["note"]


def test_a_round_says_who_was_left_out():
    assert "left out" not in progress.note(record(1), 2)
    spoiled = record(1) | {"left_out": {"a": "not finite", "b": "absent"}, "loss": None}
    assert progress.note(spoiled, 2).endswith("left out: a (not finite), b (absent)")
    assert progress.note(spoiled | {"void": True}, 2).endswith("round not used")
    assert "loss undefined" in progress.note(spoiled, 2)


def test_a_sentence_may_hold_what_looks_like_markup():
    out = io.StringIO()
    progress.speaker(Console(file=out))("checkpoint 2 in [/a/path] is damaged")
    assert out.getvalue() == "checkpoint 2 in [/a/path] is damaged\n"


def test_the_bar_ends_with_its_reporter(monkeypatch):
    opened = []
    monkeypatch.setattr(progress, "Bars", lambda console: opened.append(Bars(console)) or opened[0])
    with progress.reporter("bar") as (show, _):
        show({"model": "central", "budget": 32, "rounds": 2})
        assert opened[0].progress.live.is_started
    assert not opened[0].progress.live.is_started


def test_metrics_hold_each_round_once_after_a_restart(tmp_path):
    log = metrics_log.Metrics(tmp_path)
    for number in (1, 2, 3):
        log.record(record(number))
    log.close()
    again = metrics_log.Metrics(tmp_path)
    again.record(record(2))  # the checkpoint of round 3 was lost
    again.record(record(3))
    again.close()
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["round"] for line in lines] == [1, 2, 3]
    assert list((tmp_path / "tensorboard").iterdir())


def test_a_line_that_a_crash_cut_off_is_dropped(tmp_path):
    log = metrics_log.Metrics(tmp_path)
    log.record(record(1))
    log.record(record(2))
    log.close()
    path = tmp_path / "metrics.jsonl"
    path.write_text(path.read_text()[:-20])
    again = metrics_log.Metrics(tmp_path)
    assert [r["round"] for r in again.records()] == [1]
    again.record(record(2))
    again.record(record(3))
    again.close()
    assert [json.loads(line)["round"] for line in path.read_text().splitlines()] == [1, 2, 3]


def test_a_disk_that_fills_up_in_the_middle_of_a_line_is_no_success(tmp_path):
    log = metrics_log.Metrics(tmp_path)
    log.record(record(1))
    path = tmp_path / "metrics.jsonl"
    with (
        no_file_above(path.stat().st_size + 20),
        pytest.raises(OSError, match="No space left") as raised,
    ):
        log.record(record(2))
    assert folder.without_room(raised.value).startswith(
        f"{path} cannot be written: the disk is full"
    )
    log.record(record(2))  # there is room again
    log.close()
    assert [json.loads(line)["round"] for line in path.read_text().splitlines()] == [1, 2]


@pytest.mark.parametrize("kind", [ValueError, NotADirectoryError, PermissionError])
def test_a_readable_error_ends_with_one_line_and_status_1(kind, capsys):
    with pytest.raises(SystemExit) as end, progress.readable_errors():
        raise kind("config.rounds=0: there must be at least one round")
    assert end.value.code == 1
    assert capsys.readouterr().err == "error: config.rounds=0: there must be at least one round\n"


def test_a_disk_without_room_ends_a_run_in_one_sentence(tmp_path, capsys):
    with pytest.raises(SystemExit), progress.readable_errors():
        raise OSError(errno.ENOSPC, "No space left on device", "DIR/a.csv")
    said = "error: DIR/a.csv cannot be written: the disk is full; make room, and run this again"
    assert capsys.readouterr().err.startswith(said)
    with pytest.raises(SystemExit), progress.readable_errors(), no_file_above(8):
        metrics_log.Metrics(
            tmp_path
        )  # TensorBoard's thread cannot write, and says so in its own way
    assert capsys.readouterr().err == "error: [Errno 27] File too large\n"


def test_the_counter_says_when_there_was_nothing_to_do():
    out = io.StringIO()
    with progress.counter("dataset", "files", Console(file=out)):
        pass
    with progress.counter("cohort", "patients", Console(file=out)) as tick:
        tick(1, 2)
    assert "dataset: complete, skipped" in out.getvalue()
    assert "cohort: complete" not in out.getvalue()


def test_a_terminal_shows_what_comes_before_the_first_tick():
    out = io.StringIO()
    console = Console(file=out, force_terminal=True)
    with progress.counter("dataset", "files", console, before="listing files") as tick:
        tick(1, 2)
        tick(2, 2)
    shown = out.getvalue()
    assert shown.index("listing files") < shown.index("2 of 2 files")


def test_an_error_is_cut_and_cannot_steer_the_terminal(capsys):
    with pytest.raises(SystemExit), progress.readable_errors():
        raise ValueError("two lines\n\x1b[2J" + "x" * 10_000)
    said = capsys.readouterr().err
    assert said.startswith("error: two lines\n\\x1b[2J")
    assert len(said) < 2100
