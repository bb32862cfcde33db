import errno
import os
import signal
from concurrent.futures import ProcessPoolExecutor

import pytest

from fl_jax.data.workers import Workers, end_with_parent


def interrupted():
    signal.raise_signal(signal.SIGINT)
    return os.getpid()


def test_workers_leave_ctrl_c_to_their_parent():
    with Workers(1, end_with_parent) as pool:
        assert pool.submit(interrupted).result() != os.getpid()
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, set())


def test_a_system_without_semaphores_is_named(monkeypatch):
    def fail(*arguments):
        raise FileNotFoundError(errno.ENOENT, "No such file or directory")

    monkeypatch.setattr(ProcessPoolExecutor, "__init__", fail)
    with pytest.raises(OSError, match=r"worker processes cannot start: No such file.*/dev/shm"):
        Workers(1, end_with_parent)
