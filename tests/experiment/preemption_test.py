import os
import signal
import subprocess
import sys

import pytest

from fl_jax.experiment import preemption


def test_the_first_is_noted_and_what_was_there_comes_back():
    before = signal.getsignal(signal.SIGTERM)
    with preemption.noted() as asked:
        assert not asked()
        os.kill(os.getpid(), signal.SIGTERM)
        assert asked()
    assert asked()
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    ("block", "status"),
    [
        ("with preemption.noted(): ask(); ask()", -signal.SIGTERM),
        ("with preemption.noted(): ask()", 0),
        ("preemption.end_on_sigterm(); ask()", 75),
    ],
)
def test_how_a_process_ends(block, status):
    code = "import os, signal\nfrom fl_jax.experiment import preemption\n"
    code += f"ask = lambda: os.kill(os.getpid(), signal.SIGTERM)\n{block}"
    assert subprocess.run([sys.executable, "-c", code]).returncode == status
