import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import pytest

from fl_jax.experiment.reporter import Reporter
from launch.cli import processes
from launch.cli.processes import Training


class Recorder(Reporter):
    def __init__(self):
        self.messages, self.examples, self.rounds, self.started = [], [], [], []

    def message(self, text):
        self.messages.append(text)

    def arm_started(self, arm, *, examples, rounds):
        self.started.append(arm)

    def examples_seen(self, arm, count):
        self.examples.append((arm, count))

    def round_finished(self, arm, record):
        self.rounds.append((arm, record["round"]))


def trainings(*orders, folder=Path("nowhere")):
    return [Training(name, name, 48, 3, folder / f"{name}.jsonl") for name in orders]


def run(code, *orders, folder=Path("nowhere"), jobs=2):
    recorder, finished = Recorder(), []
    command = [sys.executable, "-c", code]
    environment = dict(os.environ)
    processes.run(
        command, trainings(*orders, folder=folder), jobs, environment, recorder, finished.append
    )
    return recorder, finished


TRAINS = """
import json, os, sys
for line in sys.stdin:
    if not line.strip():
        break
    with open({folder!r} + "/" + line.strip() + ".jsonl", "w") as file:
        for number in range(1, 4):
            print(json.dumps({{"round": number, "examples": 16}}), file=file)
    print("trained by", os.getpid(), "[word]", file=sys.stderr, flush=True)
    print("a library prints")
    print(line, end="", flush=True)
"""


def test_rounds_come_from_the_metrics_and_messages_from_standard_error(tmp_path):
    recorder, finished = run(TRAINS.format(folder=str(tmp_path)), "a", "b", "c", folder=tmp_path)
    assert sorted(recorder.rounds) == [(arm, r) for arm in "abc" for r in (1, 2, 3)]
    assert sorted(recorder.examples) == [(arm, 16) for arm in "abc" for _ in range(3)]
    assert sorted(finished) == sorted(recorder.started) == ["a", "b", "c"]
    assert all(text.endswith("[word]") for text in recorder.messages)


def test_a_worker_trains_one_arm_after_the_other(tmp_path):
    code = TRAINS.format(folder=str(tmp_path))
    recorder, finished = run(code, "a", "b", "c", folder=tmp_path, jobs=1)
    assert len(set(recorder.messages)) == 1
    assert finished == ["a", "b", "c"]


WAITS = """
import json, sys
from pathlib import Path
folder = Path({folder!r})
for line in sys.stdin:
    arm = line.strip()
    if not arm:
        break
    if arm == "a":  # its round lets the other worker begin, for which it waits
        assert not (folder / "b.begun").exists()
        if {rounds}:
            (folder / "a.jsonl").write_text(json.dumps({{"round": 1, "examples": 16}}) + "\\n")
            while not (folder / "b.begun").exists():
                pass
        (folder / "a.complete").touch()
    else:
        assert (folder / "a.jsonl").exists() or (folder / "a.complete").exists()
        (folder / "b.begun").touch()
    print(line, end="", flush=True)
"""


@pytest.mark.parametrize("rounds", [True, False])
def test_the_others_get_their_arms_after_the_first_workers_first_round_or_arm(tmp_path, rounds):
    code = WAITS.format(folder=str(tmp_path), rounds=rounds)
    assert sorted(run(code, "a", "b", folder=tmp_path)[1]) == ["a", "b"]


def test_a_line_that_is_still_being_written_waits(tmp_path):
    path, recorder = tmp_path / "metrics.jsonl", Recorder()
    follower = processes.Follower("central", path)
    follower.report(recorder)
    path.write_text('{"round": 1, "examples": 4}\n{"round": 2, "exa')
    follower.report(recorder)
    assert recorder.rounds == [("central", 1)]
    with path.open("a") as file:
        file.write('mples": 4}\n')
    follower.report(recorder)
    assert recorder.rounds == [("central", 1), ("central", 2)]


def test_a_resumed_training_replaces_the_file_and_repeats_no_round(tmp_path):
    path, recorder = tmp_path / "metrics.jsonl", Recorder()
    follower = processes.Follower("central", path)
    path.write_text("".join(f'{{"round": {n}, "examples": 4}}\n' for n in range(1, 8)))
    follower.report(recorder)
    shorter = tmp_path / "metrics.jsonl.partial"
    lines = [f'{{"round": {n}, "examples": 4, "seconds": 0.125}}\n' for n in range(1, 9)]
    shorter.write_text("".join(lines[:5]))
    shorter.replace(path)
    follower.report(recorder)
    with path.open("a") as file:
        file.write("".join(lines[5:]))
    follower.report(recorder)
    assert [number for _, number in recorder.rounds] == [*range(1, 9)]


ENDS = """
import sys, time
if sys.stdin.readline() == "sleeps\\n":
    time.sleep(60)
{end}
"""


def test_a_failure_ends_the_others_and_names_the_command(monkeypatch):
    monkeypatch.setattr(processes, "HEAD_START", 0)
    began = time.monotonic()
    with pytest.raises(
        ValueError, match=r"(?s)raise SystemExit.*ended with status 1: no such site"
    ):
        run(ENDS.format(end="raise SystemExit('no such site')"), "sleeps", "fails")
    assert time.monotonic() - began < 30


CHILD = """
import os, signal, sys, time
def end(*_):
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    print("asked", file=sys.stderr, flush=True)
    time.sleep({seconds})
    sys.exit({status})
signal.signal(signal.SIGTERM, end)
print(os.getpid(), file=sys.stderr, flush=True)
time.sleep(60)
"""


@pytest.fixture
def study():
    """Starts a program that runs two trainings in turn; gives it and the id of the first."""

    def start(child):
        parent = f"""
import os, sys
import pathlib
from fl_jax.experiment import preemption
from fl_jax.experiment.reporter import Reporter
from launch.cli import processes
preemption.end_on_signals()
class Printing(Reporter):
    def message(self, text):
        print(text, flush=True)
training = processes.Training("a", "a", 48, 3, pathlib.Path("nowhere"))
processes.run([sys.executable, "-c", {child!r}], [training] * 2, 1, os.environ, Printing())
"""
        command = [sys.executable, "-c", parent]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0
        )
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


def test_ctrl_c_reaches_the_trainings_as_sigterm(study):
    process, training = study(CHILD.format(seconds=1, status=75))
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    assert process.wait(timeout=30) == -signal.SIGINT
    assert process.stdout.read() == "asked\n"
    assert process.stderr.read().startswith("interrupted: ")
    assert not runs(training)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_the_trainings_at_once(study, number):
    child = "from fl_jax.experiment import preemption; preemption.end_with_parent()\n"
    process, training = study(child + CHILD.format(seconds=60, status=75))
    os.killpg(process.pid, signal.SIGINT)
    assert process.stdout.readline() == "asked\n"
    process.send_signal(number)
    assert process.wait(timeout=30) == -number
    until = time.monotonic() + 30
    while runs(training):
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_training_that_was_killed_is_named_with_the_remedy(monkeypatch):
    monkeypatch.setattr(processes, "HEAD_START", 0)
    kill = ENDS.format(end="import os; os.kill(os.getpid(), 9)")
    with pytest.raises(ValueError, match=r"was killed by SIGKILL, .*memory.*config\.jobs"):
        run(kill, "sleeps", "fails")


def test_a_training_that_was_asked_to_end_ends_the_study_so(study):
    process, training = study(CHILD.format(seconds=0, status=75))
    os.kill(training, signal.SIGTERM)
    assert process.wait(timeout=30) == 75


LONG = (
    "from fl_jax.experiment import preemption; preemption.end_with_parent(); import os, sys, time; "
)
LONG += "print(os.getpid(), file=sys.stderr, flush=True); time.sleep(60)"


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
    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    assert processes.choose(jobs, threads) == expected


def test_an_accelerator_is_one_trainings(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert processes.choose(0, 1) == 1
