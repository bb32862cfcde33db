import os
import signal
import subprocess
import sys
import time

import pytest

from launch import processes


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


def test_sigterm_ends_the_trainings():
    child = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    parent = f"""
import os, sys
from launch import processes
processes.end_on_sigterm()
say = lambda line: print(line, flush=True)
processes.run([[sys.executable, "-c", {child!r}]], 1, os.environ, show=print, say=say)
"""
    with subprocess.Popen(
        [sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True
    ) as study:
        assert study.stdout
        training = int(study.stdout.readline())
        study.send_signal(signal.SIGTERM)
        assert study.wait(timeout=30) == 128 + signal.SIGTERM
    with pytest.raises(ProcessLookupError):
        os.kill(training, 0)
