"""What the processes of a pool have in common."""

import multiprocessing
import os
import threading


def end_with_parent() -> None:
    """Has a spawned process end when the one that started it is killed: it would wait for work for ever.

    Raises:
        ValueError: this process was not started by `multiprocessing`.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        raise ValueError("this process has no parent: call it in one that multiprocessing started")

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
