"""`read_all` reads many files with worker processes, in order, with bounded memory.

A worker can crash in native code, e.g. a decoder on a damaged stream, or be killed when memory runs out. The
files in flight are then read again, one at a time, in a fresh process. A file that crashes it again is
refused as `CRASHED`, and reading continues.
"""

import itertools
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from functools import partial

import cv2
import numpy as np

from fl_jax.data.dicom import shared_memory
from fl_jax.data.dicom.read import Slice, read
from fl_jax.data.dicom.refusal import ALL_REPAIRS, Reason, Refusal, Repair
from fl_jax.data.dicom.resample import Centre
from fl_jax.data.dicom.shared_memory import SharedArray
from fl_jax.data.workers import Workers, end_with_parent

File = tuple[str, Centre | None]
"""A path, and where to centre its slice."""
Read = Callable[[File], Slice | Refusal]
Results = list[Slice | Refusal]
Flight = deque[tuple[list[File], int, Future[Results]]]
"""Chunks being read, in order: files, slot in the shared memory, result."""
NOTHING = np.empty(0, np.int16)
"""Stands for a picture that is in the shared memory."""
_memory: np.ndarray | None = None
"""In a worker: int16[slots, CHUNK, size, size], shared with the parent."""

CHUNK = 32
"""Files per task."""
FEW = 1000
"""Below this number of files, starting workers takes longer than reading."""


def read_all(
    paths: Sequence[str],
    *,
    size: int,
    workers: int | None = None,
    repairs: frozenset[Repair] = ALL_REPAIRS,
    spacing_mm: float = 0.0,
    centres: Sequence[Centre] | None = None,
) -> Iterator[Slice | Refusal]:
    """Reads files like `read`, in the order of `paths` for any number of workers.

    Args:
        paths: the files.
        size: side of the square picture in pixels.
        workers: worker processes; 0 or 1 reads in this process; None uses one per core, or none for fewer
            than `FEW` files.
        repairs: permitted repairs, see `read`.
        spacing_mm: see `read`.
        centres: of the files' slices, see `read`.

    Returns:
        An iterator with one result per path. At most 2 * workers + 1 chunks are in memory. A file that
        crashes its worker is refused as `CRASHED`; without workers such a file crashes this process.

    Raises:
        ValueError: workers is negative.
        BrokenProcessPool: workers cannot start.
    """
    if workers is not None and workers < 0:
        raise ValueError(f"workers is {workers}: give the number of worker processes, or None")
    if workers is None:
        workers = 0 if len(paths) < FEW else os.cpu_count() or 1
    files: list[File] = [*zip(paths, centres or [None] * len(paths), strict=True)]
    read_one: Read = partial(
        _read_one, partial(read, size=size, repairs=repairs, spacing_mm=spacing_mm)
    )
    if workers < 2 or len(paths) <= CHUNK:
        return map(read_one, files)
    return _in_processes(files, read_one, workers, size)


def _read_one(reader: Callable[..., Slice | Refusal], file: File) -> Slice | Refusal:
    return reader(file[0], centre=file[1])


def _in_processes(
    files: Sequence[File], read_one: Read, workers: int, size: int
) -> Iterator[Slice | Refusal]:
    chunks = (list(files[start : start + CHUNK]) for start in range(0, len(files), CHUNK))
    slots = 2 * workers + 1
    # Chunks finish in order, so a slot is free again once its slices are copied out.
    memory = SharedArray((slots, CHUNK, size, size)) if shared_memory.available() else None
    next_slot = itertools.cycle(range(slots))
    flight: Flight = deque()
    pool = Workers(workers, _initialize, memory)
    try:
        while True:
            for chunk in itertools.islice(chunks, slots - len(flight)):
                slot = next(next_slot)
                flight.append((chunk, slot, _submit(pool, read_one, chunk, slot)))
            if not flight:
                return
            try:
                results = flight[0][2].result()
            except BrokenProcessPool:
                pool.shutdown()
                yield from _read_again(flight, read_one, memory)
                flight.clear()
                pool = Workers(workers, _initialize, memory)
            else:
                yield from _copied_out(results, memory, flight[0][1])
                flight.popleft()
    finally:  # the caller may stop early: drop queued chunks
        pool.shutdown(cancel_futures=True)
        if memory is not None:
            memory.close()


def _copied_out(results: Results, memory: SharedArray | None, slot: int) -> Results:
    """Adds the pictures, which `_read_chunk` left in shared memory, to the results."""
    if memory is None:
        return results
    return [
        result._replace(hu=hu.copy()) if isinstance(result, Slice) else result
        for result, hu in zip(results, memory.array[slot], strict=False)  # a last chunk is shorter
    ]


def _read_again(
    flight: Flight, read_one: Read, memory: SharedArray | None
) -> Iterator[Slice | Refusal]:
    """After a crash: finished chunks as they are, the others again, one file at a time."""
    pool = None
    try:
        for chunk, slot, future in flight:
            if future.exception() is None:
                yield from _copied_out(future.result(), memory, slot)
                continue
            for file in chunk:
                if pool is None:
                    pool = Workers(1, _initialize, None)
                    pool.submit(
                        os.getpid
                    ).result()  # a process that cannot start is no file's fault
                try:
                    (result,) = pool.submit(_read_chunk, read_one, [file], 0).result()
                except BrokenProcessPool:
                    pool.shutdown()
                    pool = None
                    result = Refusal(
                        file[0], Reason.CRASHED, "twice: a faulty decoder, or no memory"
                    )
                yield result
    finally:
        if pool is not None:
            pool.shutdown(cancel_futures=True)


def _submit(pool: Workers, read_one: Read, chunk: list[File], slot: int) -> Future[Results]:
    try:
        return pool.submit(_read_chunk, read_one, chunk, slot)
    except BrokenProcessPool as error:
        failed: Future[Results] = Future()
        failed.set_exception(error)
        return failed


def _initialize(memory: SharedArray | None) -> None:
    """Runs once in every worker."""
    global _memory
    _memory = None if memory is None else memory.array
    end_with_parent()
    cv2.setNumThreads(1)  # the processes are the parallelism
    # After one large block is freed, glibc keeps the pages of later ones. Otherwise it returns half a
    # megabyte to the system after each slice and faults it in again: more than twice the time.
    np.empty(2**24, np.uint8)


def _read_chunk(read_one: Read, files: list[File], slot: int) -> Results:
    """Reads files in a worker and leaves their pictures in shared memory if it exists."""
    if _memory is None:
        return [*map(read_one, files)]
    results: Results = []
    for file, hu in zip(files, _memory[slot], strict=False):
        result = read_one(file)
        if isinstance(result, Slice):
            hu[:] = result.hu
            result = result._replace(hu=NOTHING)
        results.append(result)
    return results
