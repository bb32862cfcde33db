"""How a program is ended from outside: by SIGTERM, as a cluster does it, or by its parent's end."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType

STATUS = os.EX_TEMPFAIL
"""75: ended when asked to, with everything saved; the same command goes on."""


def end_on_sigterm() -> None:
    """Turns SIGTERM into `SystemExit` with `STATUS`, so that what is open is closed and children are told."""

    def end(number: int, frame: FrameType | None) -> None:
        sys.exit(STATUS)

    signal.signal(signal.SIGTERM, end)


def end_with_parent() -> None:
    """Ends this process at once, with `STATUS`, when whoever writes to its standard input is gone.

    However that ended: the system closes the pipe. The round under way is lost, as with the parent; to finish
    it would hold the lock that the same command, started again, needs.
    """

    def wait() -> None:
        while os.read(0, 1):
            pass
        os._exit(STATUS)

    threading.Thread(target=wait, daemon=True).start()


@contextlib.contextmanager
def noted() -> Iterator[Callable[[], bool]]:
    """Has the first SIGTERM only noted, and the second end the process at once; of the main thread.

    Yields:
        `() -> bool`, whether one has come; good after the block too.
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
