import errno
import io

import pytest
from rich.console import Console
from round_record import record

from launch.cli import progress
from launch.cli.progress import Bars


def test_bars_show_several_arms():
    bars = progress.Bars(Console(file=io.StringIO()))
    for arm in ("central", "federated"):
        bars.arm_started(arm, examples=32, rounds=2)
        bars.examples_seen(arm, 16)
        bars.round_finished(arm, record(1, None))
    bars.display.stop()
    assert [task.completed for task in bars.display.tasks] == [16, 16]
    assert "AUROC undefined" in bars.display.tasks[0].fields["note"]


def test_every_planned_arm_has_a_bar_that_says_whether_it_waits():
    bars = progress.Bars(Console(file=io.StringIO()))
    for arm in ("federated", "central"):
        bars.arm_planned(arm, examples=32, rounds=2)
    bars.arm_started("federated", examples=32, rounds=2)
    bars.display.stop()
    notes = {task.description: task.fields["note"] for task in bars.display.tasks}
    assert notes == {"federated": "starting", "central": "waiting"}


def test_bars_show_a_stage():
    bars = progress.Bars(Console(file=io.StringIO()))
    bars.progress("cohort", 3, 12, "patients")
    bars.display.stop()
    (task,) = bars.display.tasks
    assert (task.completed, task.total) == (3, 12)
    assert task.fields["note"] == "3 of 12 patients"


def log_of_100_seconds(monkeypatch, out, happens):
    """A log that has begun an arm, and `happens(log)` once a second after that."""
    clock = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    log = progress.LogLines(Console(file=out, width=200))
    log.arm_started("central", examples=320, rounds=2)
    for second in range(100):
        clock[0] = float(second)
        happens(log)
    return log


def test_a_log_has_a_line_for_each_arm_at_most_every_so_often(monkeypatch):
    out = io.StringIO()
    log = log_of_100_seconds(monkeypatch, out, lambda log: log.examples_seen("central", 2))
    log.round_finished("central", record(2))
    lines = out.getvalue().splitlines()
    assert lines[0] == "central: 2 rounds, 320 examples"
    assert lines[1:4] == ["central:  19%", "central:  38%", "central:  57%"]
    assert lines[4].startswith("central: round  2/2  loss 0.500")
    assert len(lines) == 5


def test_a_log_is_never_silent_while_other_processes_train(monkeypatch):
    out = io.StringIO()
    log_of_100_seconds(monkeypatch, out, progress.LogLines.waiting)
    assert out.getvalue().splitlines()[1:] == ["training: central 0%"] * 3


def test_a_log_says_when_a_stage_is_done():
    out = io.StringIO()
    log = progress.LogLines(Console(file=out))
    for number in range(1, 13):
        log.progress("cohort", number, 12, "patients")
    assert out.getvalue() == "cohort: 12 of 12 patients\n"


def test_a_round_says_who_was_left_out():
    assert "left out" not in progress.round_note(record(1), 2)
    spoiled = record(1) | {"left_out": {"a": "not finite", "b": "absent"}, "loss": None}
    assert progress.round_note(spoiled, 2).endswith("left out: a (not finite), b (absent)")
    assert progress.round_note(spoiled | {"void": True}, 2).endswith("round not used")
    assert "loss undefined" in progress.round_note(spoiled, 2)


def test_a_sentence_may_hold_what_looks_like_markup():
    out = io.StringIO()
    progress.Messages(Console(file=out)).message("checkpoint 2 in [/a/path] is damaged")
    assert out.getvalue() == "checkpoint 2 in [/a/path] is damaged\n"


def test_a_terminal_gets_bars_which_end_with_the_block_and_a_log_gets_lines():
    with progress.reporter(Console(file=io.StringIO(), force_terminal=True)) as shown:
        assert isinstance(shown, Bars)
        shown.arm_started("central", examples=32, rounds=2)
        assert shown.display.live.is_started
    assert not shown.display.live.is_started
    with progress.reporter(Console(file=io.StringIO())) as shown:
        assert isinstance(shown, progress.LogLines)


def test_a_missing_extra_is_one_line_and_a_missing_module_of_ours_is_not(capsys):
    with pytest.raises(SystemExit), progress.readable_errors():
        raise ModuleNotFoundError("pydicom is not installed; run: pip install 'fl_jax[ct]'")
    assert capsys.readouterr().err.startswith("error: pydicom is not installed; run: pip install")
    with pytest.raises(ModuleNotFoundError), progress.readable_errors():
        raise ModuleNotFoundError("No module named 'fl_jax.typo'")


@pytest.mark.parametrize("kind", [ValueError, NotADirectoryError, PermissionError])
def test_a_readable_error_ends_with_one_line_and_status_1(kind, capsys):
    with pytest.raises(SystemExit) as end, progress.readable_errors():
        raise kind("config.rounds=0: there must be at least one round")
    assert end.value.code == 1
    assert capsys.readouterr().err == "error: config.rounds=0: there must be at least one round\n"


def test_a_disk_without_room_ends_a_run_in_one_sentence(capsys):
    with pytest.raises(SystemExit), progress.readable_errors():
        raise OSError(errno.ENOSPC, "No space left on device", "DIR/a.csv")
    said = (
        "error: DIR/a.csv cannot be written: the disk is full; free some space and run this again"
    )
    assert capsys.readouterr().err.startswith(said)


def test_an_error_is_cut_and_cannot_steer_the_terminal(capsys):
    with pytest.raises(SystemExit), progress.readable_errors():
        raise ValueError("two lines\n\x1b[2J" + "x" * 10_000)
    said = capsys.readouterr().err
    assert said.startswith("error: two lines\n\\x1b[2J")
    assert len(said) < 2100
