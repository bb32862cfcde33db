"""How a program is ended from outside: by SIGTERM, as clusters do, or because its parent ended."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType

STATUS = os.EX_TEMPFAIL
"""75: ended on request with everything saved; the same command resumes."""


def end_on_sigterm() -> None:
    """Turns SIGTERM into `SystemExit` with `STATUS`, so that files are closed and children ended."""

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
        `() -> bool`, whether SIGTERM arrived; valid after the block, too.
    """
    asked = threading.Event()

    def note(number: int, frame: FrameType | None) -> None:
        asked.set()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    before = signal.signal(signal.SIGTERM, note)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGTERM, before)
