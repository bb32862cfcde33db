"""Ends a program on SIGTERM, as clusters send it, or when its parent process ends."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType

STATUS = os.EX_TEMPFAIL
"""Exit status 75: stopped on request, everything is saved; the same command resumes."""


def end_on_sigterm() -> None:
    """Turns SIGTERM into `SystemExit` with `STATUS`, so that files are closed and children are ended."""

    def end(number: int, frame: FrameType | None) -> None:
        sys.exit(STATUS)

    signal.signal(signal.SIGTERM, end)


def end_with_parent() -> None:
    """Ends this process at once, with `STATUS`, when its standard input closes because the parent is gone.

    The current round is lost: finishing it would keep the lock that the same command, started again, needs.
    """

    def wait() -> None:
        while os.read(0, 1):
            pass
        os._exit(STATUS)

    threading.Thread(target=wait, daemon=True).start()


@contextlib.contextmanager
def noted() -> Iterator[Callable[[], bool]]:
    """Records the first SIGTERM; the second ends the process at once. For the main thread.

    Yields:
        `() -> bool`, whether SIGTERM arrived; also valid after the block.
    """
    received = threading.Event()

    def note(number: int, frame: FrameType | None) -> None:
        received.set()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    before = signal.signal(signal.SIGTERM, note)
    try:
        yield received.is_set
    finally:
        signal.signal(signal.SIGTERM, before)
