"""Helpers for worker processes."""

import multiprocessing
import os
import threading


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
