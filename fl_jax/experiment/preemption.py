"""Ends a program on SIGTERM, as clusters send it, on Ctrl-C, or when its parent process ends."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from queue import SimpleQueue
from types import FrameType
from typing import NoReturn

STATUS = os.EX_TEMPFAIL
"""Exit status 75: stopped on request, everything is saved; the same command resumes."""
SIGNALS = (signal.SIGINT, signal.SIGTERM)
AGAIN = b"interrupted: the current round will be saved; press Ctrl-C again to end at once\n"


def end_on_signals() -> None:
    """Turns SIGTERM into `SystemExit` with `STATUS`, so that files are closed and children are ended.

    Ctrl-C becomes KeyboardInterrupt, as usual. A second signal ends the process at once.
    """

    def end(number: int, frame: FrameType | None) -> None:
        _end_at_once_next_time()
        leave(number)

    for each in SIGNALS:
        signal.signal(each, end)


def leave(number: int) -> NoReturn:
    """Raises the exception that ends a program on a signal."""
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(STATUS)


def end_with_parent() -> "SimpleQueue[str]":
    """Ends this process at once, with `STATUS`, when its standard input closes because the parent is gone.

    The current round is lost: finishing it would keep the lock that the same command, started again, needs.

    Returns:
        The lines that the parent writes, as they arrive.
    """
    lines: SimpleQueue[str] = SimpleQueue()

    def read() -> None:
        rest = b""
        while arrived := os.read(0, 2**16):
            *whole, rest = (rest + arrived).split(b"\n")
            for line in whole:
                lines.put(line.decode())
        os._exit(STATUS)

    threading.Thread(target=read, daemon=True).start()
    return lines


class Stop:
    """Whether a signal asked a training to stop, see `noted`."""

    def __init__(self) -> None:
        self._number = 0

    def __call__(self) -> bool:
        """Whether a signal arrived."""
        return self._number != 0

    def note(self, number: int, frame: FrameType | None = None) -> None:
        """Handles a signal."""
        _end_at_once_next_time()
        self._number = number
        if number == signal.SIGINT:
            os.write(2, AGAIN)  # print is not safe in a signal handler

    def leave(self) -> NoReturn:
        """Ends the program as the signal asked."""
        leave(self._number)


@contextlib.contextmanager
def noted() -> Iterator[Stop]:
    """Records the first SIGTERM or Ctrl-C; the second ends the process at once. For the main thread.

    Yields:
        The `Stop`, which is also valid after the block.
    """
    stop = Stop()
    before = {each: signal.signal(each, stop.note) for each in SIGNALS}
    try:
        yield stop
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _end_at_once_next_time() -> None:
    for each in SIGNALS:
        signal.signal(each, signal.SIG_DFL)
