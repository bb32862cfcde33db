import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from launch.cli import processes


def run(*codes, jobs=2):
    events, said = [], []
    commands = [[sys.executable, "-c", code] for code in codes]
    processes.run(commands, jobs, dict(os.environ), show=events.append, say=said.append)
    return events, said


def test_events_are_shown_and_every_other_line_is_said():
    events, said = run(
        'print(\'{"model": "central", "examples": 16}\'); print("of a library: [word]"); print(3)',
        "import sys; print('resumed', file=sys.stderr)",
    )
    assert events == [{"model": "central", "examples": 16}]
    assert sorted(said) == ["3", "of a library: [word]", "resumed"]


def test_a_failure_ends_the_others_and_names_the_command():
    began = time.monotonic()
    with pytest.raises(
        ValueError, match=r"(?s)raise SystemExit.*ended with status 1: no such site"
    ):
        run("import time; time.sleep(60)", "raise SystemExit('no such site')")
    assert time.monotonic() - began < 30


CHILD = """
import os, signal, sys, time
def end(*_):
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    print("asked", flush=True)
    time.sleep({seconds})
    sys.exit({status})
signal.signal(signal.SIGTERM, end)
print(os.getpid(), flush=True)
time.sleep(60)
"""


@pytest.fixture
def study():
    """Starts a program that runs two trainings in turn; gives it and the id of the first."""

    def start(child):
        parent = f"""
import os, sys
from launch import preemption, processes
preemption.end_on_sigterm()
say = lambda line: print(line, flush=True)
processes.run([[sys.executable, "-c", {child!r}]] * 2, 1, os.environ, show=print, say=say)
"""
        command = [sys.executable, "-c", parent]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        started.append(process)
        return process, int(process.stdout.readline())

    started = []
    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_sigterm_is_passed_on_and_waited_for(study):
    process, training = study(CHILD.format(seconds=1, status=75))
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 75
    assert process.stdout.read() == "asked\n"  # and the second never begins
    with pytest.raises(ProcessLookupError):
        os.kill(training, 0)


def test_a_second_sigterm_ends_the_trainings_at_once(study):
    process, training = study(CHILD.format(seconds=60, status=75))
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == "asked\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 75
    with pytest.raises(ProcessLookupError):
        os.kill(training, 0)


def test_a_training_that_was_asked_to_end_ends_the_study_so(study):
    process, training = study(CHILD.format(seconds=0, status=75))
    os.kill(training, signal.SIGTERM)
    assert process.wait(timeout=30) == 75


LONG = "from launch import preemption; preemption.end_with_parent(); "
LONG += "import os, time; print(os.getpid(), flush=True); time.sleep(60)"


def test_the_trainings_of_a_study_that_is_killed_end_too(study):
    process, training = study(LONG)
    assert runs(training)
    process.kill()
    until = time.monotonic() + 30
    while runs(training):
        assert time.monotonic() < until, "it lives on, and would hold its lock"
        time.sleep(0.02)


def runs(number):
    """Whether a process runs; one that nobody has asked for its status is a zombie and does not."""
    try:
        return "Z" not in Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


@pytest.mark.parametrize(
    ("jobs", "threads", "cores", "expected"),
    [(3, 1, 2, 3), (0, 1, 2, 2), (0, 1, 16, 4), (0, 8, 16, 2), (0, 0, 16, 1), (0, 9, 4, 1)],
)
def test_how_many_run_side_by_side(monkeypatch, jobs, threads, cores, expected):
    monkeypatch.setattr(processes, "cores", lambda: cores)
    monkeypatch.setattr(processes, "_has_accelerator", lambda: False)
    assert processes.choose(jobs, threads) == expected


def test_an_accelerator_is_one_trainings(monkeypatch):
    monkeypatch.setattr(processes, "_has_accelerator", lambda: True)
    assert processes.choose(0, 1) == 1
