import os
import signal
import subprocess
import sys

import pytest

from fl_jax.experiment import preemption


@pytest.mark.parametrize(
    ("number", "end"), [(signal.SIGTERM, SystemExit), (signal.SIGINT, KeyboardInterrupt)]
)
def test_the_first_is_noted_and_what_was_there_comes_back(number, end):
    before = [signal.getsignal(each) for each in preemption.SIGNALS]
    with preemption.noted() as stop:
        assert not stop()
        os.kill(os.getpid(), number)
        assert stop()
    assert stop()
    assert [signal.getsignal(each) for each in preemption.SIGNALS] == before
    with pytest.raises(end):
        stop.leave()


@pytest.mark.parametrize("number", preemption.SIGNALS)
@pytest.mark.parametrize(
    ("block", "status"),
    [
        ("with preemption.noted(): ask(); ask()", None),
        ("with preemption.noted(): ask()", 0),
        ("preemption.end_on_signals(); ask()", {signal.SIGTERM: 75}),
        (
            "preemption.end_on_signals()\ntry: ask()\nfinally: ask()",  # while it cleans up
            None,
        ),
    ],
)
def test_how_a_process_ends(block, status, number):
    if status != 0:
        status = (status or {}).get(number, -number)
    code = "import os, signal\nimport launch\nfrom fl_jax.experiment import preemption\n"
    code += f"ask = lambda: os.kill(os.getpid(), {number})\n{block}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == status
    assert "Traceback" not in done.stderr
