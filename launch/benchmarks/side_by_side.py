"""The rate of a piece of work in several processes at once: what a machine gives to two is seldom twice."""

import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier

SECONDS = 1.0
"""For which the processes work, all at the same time."""


def rate(work: Callable[[], object], processes: int) -> float:
    """How often a second all processes together do the work, once they have all started.

    Args:
        work: what each does again and again; it is pickled.
        processes: how many there are.
    """
    context = multiprocessing.get_context("spawn")
    ready, rates = context.Barrier(processes), context.Queue()
    args = (work, ready, rates)
    started = [context.Process(target=_repeat, args=args, daemon=True) for _ in range(processes)]
    for process in started:
        process.start()
    found = [rates.get(timeout=120) for _ in started]
    for process in started:
        process.join()
    return sum(found)


def _repeat(work: Callable[[], object], ready: Barrier, rates: "Queue[float]") -> None:
    import cv2

    cv2.setNumThreads(1)  # the processes are the parallelism
    work()
    ready.wait()
    began, done = time.perf_counter(), 0
    while (passed := time.perf_counter() - began) < SECONDS:
        work()
        done += 1
    rates.put(done / passed)
