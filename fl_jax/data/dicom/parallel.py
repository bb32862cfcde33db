"""Many files are read by several processes, in order, with a bounded number of them in memory."""

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from functools import partial

import cv2
import numpy as np

from fl_jax.data.dicom.read import Slice, read
from fl_jax.data.dicom.refusal import ALL_REPAIRS, Refusal, Repair

Read = Callable[[str], Slice | Refusal]

CHUNK = 32
"""Files that a process takes at a time."""
FEW = 1000
"""Files that are read sooner than processes have started."""


def read_all(
    paths: Sequence[str],
    *,
    size: int,
    workers: int | None = None,
    repairs: frozenset[Repair] = ALL_REPAIRS,
) -> Iterator[Slice | Refusal]:
    """Reads files as `read` does; results come in the order of `paths`, whatever `workers` is.

    Args:
        paths: the files.
        size: side of the square picture, pixels.
        workers: reading processes; 0 or 1 reads in this one; None takes one a core, or none for
            a few files.
        repairs: see `read`.

    Returns:
        An iterator with one result for each path; at most 2 * workers + 1 chunks are in memory.

    Raises:
        ValueError: workers is negative.
    """
    if workers is not None and workers < 0:
        raise ValueError(f"workers is {workers}: give the number of reading processes, or None")
    if workers is None:
        workers = 0 if len(paths) < FEW else os.cpu_count() or 1
    one: Read = partial(read, size=size, repairs=repairs)
    if workers < 2 or len(paths) <= CHUNK:
        return map(one, paths)
    return _in_processes(paths, one, workers)


def _in_processes(paths: Sequence[str], one: Read, workers: int) -> Iterator[Slice | Refusal]:
    # Fresh processes: a fork of one that runs JAX or TensorFlow threads can hang.
    context = multiprocessing.get_context("spawn")
    flight: deque[Future[list[Slice | Refusal]]] = deque()
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_prepare) as pool:
        try:
            for start in range(0, len(paths), CHUNK):
                flight.append(pool.submit(_read_chunk, one, list(paths[start : start + CHUNK])))
                if len(flight) > 2 * workers:
                    yield from flight.popleft().result()
            while flight:
                yield from flight.popleft().result()
        finally:  # where the reader stops early, what is queued need not be read
            pool.shutdown(wait=False, cancel_futures=True)


def _prepare() -> None:
    """Sets up a reading process."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    cv2.setNumThreads(1)  # the processes are the parallelism
    # Freeing one large block makes glibc keep the pages of later ones, where it would return half a
    # megabyte to the system after each slice and fault it in again: more than twice the time.
    np.empty(2**24, np.uint8)


def _end_with_parent() -> None:
    """Ends a reading process whose parent was killed: it would wait for its next files for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _read_chunk(one: Read, paths: list[str]) -> list[Slice | Refusal]:
    return [*map(one, paths)]
