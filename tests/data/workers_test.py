import os
import signal

from fl_jax.data.workers import Workers, end_with_parent


def interrupted():
    signal.raise_signal(signal.SIGINT)
    return os.getpid()


def test_workers_leave_ctrl_c_to_their_parent():
    with Workers(1, end_with_parent) as pool:
        assert pool.submit(interrupted).result() != os.getpid()
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, set())
