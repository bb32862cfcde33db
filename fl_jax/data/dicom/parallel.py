"""Many files are read by several processes, in order, with a bounded number of them in memory.

Native code may end the process that runs it: a decoder on a damaged stream, the system when memory is short.
Then what was under way is read once more, a file at a time in a process apart; the file that ends that one
too is refused, and the rest is read on.
"""

import itertools
import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial

import cv2
import numpy as np

from fl_jax.data.dicom import shared
from fl_jax.data.dicom.read import Slice, read
from fl_jax.data.dicom.refusal import ALL_REPAIRS, Reason, Refusal, Repair
from fl_jax.data.workers import end_with_parent

Read = Callable[[str], Slice | Refusal]
Results = list[Slice | Refusal]
Flight = deque[tuple[list[str], int, Future[Results]]]
"""Chunks of paths that are being read, in order, and where in the shared memory."""
NOTHING = np.empty(0, np.int16)
"""In place of a picture that lies in the shared memory."""
_memory: np.ndarray | None = None
"""In a reading process: int16[places, CHUNK, size, size] that it shares with the one that started it."""

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
        An iterator with one result for each path; at most 2 * workers + 1 chunks are in memory,
        which the processes share where they can. A file that ends its reading process is refused as
        `CRASHED`; where files are read in this process, nothing guards it against that.

    Raises:
        ValueError: workers is negative.
        BrokenProcessPool: reading processes cannot be started.
    """
    if workers is not None and workers < 0:
        raise ValueError(f"workers is {workers}: give the number of reading processes, or None")
    if workers is None:
        workers = 0 if len(paths) < FEW else os.cpu_count() or 1
    one: Read = partial(read, size=size, repairs=repairs)
    if workers < 2 or len(paths) <= CHUNK:
        return map(one, paths)
    return _in_processes(paths, one, workers, size)


def _in_processes(
    paths: Sequence[str], one: Read, workers: int, size: int
) -> Iterator[Slice | Refusal]:
    chunks = (list(paths[start : start + CHUNK]) for start in range(0, len(paths), CHUNK))
    most = 2 * workers + 1
    # A chunk's place is its own until its slices are taken out: chunks come back in order.
    memory = shared.Shared((most, CHUNK, size, size)) if shared.available() else None
    places = itertools.cycle(range(most))
    flight: Flight = deque()
    pool = _pool(workers, memory)
    try:
        while True:
            for chunk in itertools.islice(chunks, most - len(flight)):
                place = next(places)
                flight.append((chunk, place, _submit(pool, one, chunk, place)))
            if not flight:
                return
            try:
                read = flight[0][2].result()
            except BrokenProcessPool:
                pool.shutdown()
                yield from _read_apart(flight, one, memory)
                flight.clear()
                pool = _pool(workers, memory)
            else:
                yield from _taken_out(read, memory, flight[0][1])
                flight.popleft()
    finally:  # where the reader stops early, what is queued need not be read
        pool.shutdown(cancel_futures=True)
        if memory is not None:
            memory.close()


def _taken_out(read: Results, memory: shared.Shared | None, place: int) -> Results:
    """Results with their pictures, which `_read_chunk` left in shared memory."""
    if memory is None:
        return read
    return [
        found._replace(hu=hu.copy()) if isinstance(found, Slice) else found
        for found, hu in zip(read, memory.array[place], strict=False)  # the last chunk is shorter
    ]


def _read_apart(
    flight: Flight, one: Read, memory: shared.Shared | None
) -> Iterator[Slice | Refusal]:
    """What was under way when a process ended: as it came, or else read again, a file at a time."""
    pool = None
    try:
        for chunk, place, future in flight:
            if future.exception() is None:
                yield from _taken_out(future.result(), memory, place)
                continue
            for path in chunk:
                if pool is None:
                    pool = _pool(1, None)
                    pool.submit(os.getpid).result()  # one that cannot start is no file's fault
                try:
                    (read,) = pool.submit(_read_chunk, one, [path], 0).result()
                except BrokenProcessPool:
                    pool.shutdown()
                    pool = None
                    read = Refusal(path, Reason.CRASHED, "twice: a faulty decoder, or no memory")
                yield read
    finally:
        if pool is not None:
            pool.shutdown(cancel_futures=True)


def _pool(workers: int, memory: shared.Shared | None) -> ProcessPoolExecutor:
    # Fresh processes: a fork of one that runs JAX or TensorFlow threads can hang.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(
        workers, mp_context=context, initializer=_prepare, initargs=(memory,)
    )


def _submit(pool: ProcessPoolExecutor, one: Read, chunk: list[str], place: int) -> Future[Results]:
    try:
        return pool.submit(_read_chunk, one, chunk, place)
    except BrokenProcessPool as error:
        failed: Future[Results] = Future()
        failed.set_exception(error)
        return failed


def _prepare(memory: shared.Shared | None) -> None:
    """Sets up a reading process, with the memory that it shares."""
    global _memory
    _memory = None if memory is None else memory.array
    end_with_parent()
    cv2.setNumThreads(1)  # the processes are the parallelism
    # Freeing one large block makes glibc keep the pages of later ones, where it would return half a
    # megabyte to the system after each slice and fault it in again: more than twice the time.
    np.empty(2**24, np.uint8)


def _read_chunk(one: Read, paths: list[str], place: int) -> Results:
    """Reads files; where memory is shared, their pictures are left there."""
    if _memory is None:
        return [*map(one, paths)]
    results: Results = []
    for path, hu in zip(paths, _memory[place], strict=False):
        read = one(path)
        if isinstance(read, Slice):
            hu[:] = read.hu
            read = read._replace(hu=NOTHING)
        results.append(read)
    return results
