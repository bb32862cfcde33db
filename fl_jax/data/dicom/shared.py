"""Memory that processes share, so that pictures need not be pickled: that costs as much as reading them.

It is anonymous memory of the system, no file and no part of /dev/shm, which containers often keep small.
Linux alone has it; elsewhere pictures are pickled.
"""

import math
import mmap
import multiprocessing.reduction
import os
from typing import Any

import numpy as np


class Shared:
    """An int16 array that spawned processes see as well; it is pickled while they are started."""

    def __init__(self, shape: tuple[int, ...], descriptor: int | None = None) -> None:
        size = 2 * math.prod(shape)
        if descriptor is None:
            descriptor = os.memfd_create("fl_jax")
            os.ftruncate(descriptor, size)  # a page takes memory once it is written to
        self._descriptor = descriptor
        self.array = np.frombuffer(mmap.mmap(descriptor, size), np.int16).reshape(shape)

    def __reduce__(self) -> Any:
        passed = multiprocessing.reduction.DupFd(self._descriptor)
        return _attach, (passed, self.array.shape)

    def close(self) -> None:
        """After this no process can be given it; memory goes with the last array."""
        os.close(self._descriptor)


def _attach(passed: Any, shape: tuple[int, ...]) -> Shared:
    return Shared(shape, passed.detach())


def available() -> bool:
    """Whether the system has such memory."""
    return hasattr(os, "memfd_create")
