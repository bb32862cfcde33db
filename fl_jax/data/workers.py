"""Worker processes."""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any


class Workers(ProcessPoolExecutor):
    """A pool of spawned processes, which leave Ctrl-C to this process.

    They are spawned because a fork of a process with threads of JAX or TensorFlow can hang.
    """

    def __init__(self, count: int, initializer: Callable[..., None], *arguments: Any) -> None:
        """Prepares a pool; processes start when there is work.

        Args:
            count: processes.
            initializer: called first in every process; it should call `end_with_parent`.
            *arguments: of the initializer.
        """
        super().__init__(count, multiprocessing.get_context("spawn"), initializer, arguments)

    def submit(self, *work: Any, **named: Any) -> Future[Any]:
        """Queues a call; see `Executor.submit`."""
        with without_interrupts():  # which a process that starts here inherits
            return super().submit(*work, **named)


@contextlib.contextmanager
def without_interrupts() -> Iterator[None]:
    """Delays Ctrl-C to the end of the block; a process that starts in it never receives Ctrl-C."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_with_parent() -> None:
    """Makes a spawned process exit when its parent dies; otherwise it would wait for work forever.

    Raises:
        ValueError: `multiprocessing` did not start this process.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        raise ValueError("this process has no parent: call it in one that multiprocessing started")

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
