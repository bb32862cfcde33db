"""An array that several processes share. Pickling pictures costs as much as reading them.

It is anonymous memory (memfd), independent of /dev/shm, which is small in many containers. Linux only; on
other systems pictures are pickled.
"""

import math
import mmap
import multiprocessing.reduction
import os
from typing import Any

import numpy as np


class SharedArray:
    """An int16 array that spawned processes see; pickle it only in the arguments of a new process."""

    def __init__(self, shape: tuple[int, ...], descriptor: int | None = None) -> None:
        size = 2 * math.prod(shape)
        if descriptor is None:
            descriptor = os.memfd_create("fl_jax")
            os.ftruncate(descriptor, size)  # pages are allocated on first write
        self._descriptor = descriptor
        self.array = np.frombuffer(mmap.mmap(descriptor, size), np.int16).reshape(shape)

    def __reduce__(self) -> Any:
        passed = multiprocessing.reduction.DupFd(self._descriptor)
        return _attach, (passed, self.array.shape)

    def close(self) -> None:
        """Prevents further sharing; memory is freed with the last array."""
        os.close(self._descriptor)


def _attach(passed: Any, shape: tuple[int, ...]) -> SharedArray:
    return SharedArray(shape, passed.detach())


def available() -> bool:
    """Whether the system supports shared memory of this kind."""
    return hasattr(os, "memfd_create")
