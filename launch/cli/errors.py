"""What an error means to the user of a program, and what to do about it."""

import errno
import traceback
from concurrent.futures.process import BrokenProcessPool

from fl_jax.files.disk_errors import explain_full_disk
from fl_jax.files.text import printable

_LESS_MEMORY = "close other programs, or use fewer --config.jobs or --workers"
_MEMORY = ("RESOURCE_EXHAUSTED", "failed to map segment")
"""Words of XLA and of the dynamic linker when memory runs out."""
_LIMITS = {
    errno.EMFILE: "this process has too many open files: raise the limit, e.g. ulimit -n 1024",
    errno.ENFILE: "the system has too many open files: close other programs",
    errno.EAGAIN: "the system starts no more processes or threads: raise the limit, ulimit -u",
    errno.ENOMEM: f"memory ran out: {_LESS_MEMORY}",
}
_MAY_NOT = "this user may not open it; change its permissions, or ask its owner to"
_PATHS = {
    errno.EACCES: _MAY_NOT,
    errno.EPERM: _MAY_NOT,
    errno.EROFS: "its file system is read-only; give a path on another one",
    errno.EIO: "its disk fails; copy what can be read to another one",
    errno.ESTALE: "its network drive has changed or is gone; mount it again",
    errno.ENAMETOOLONG: "its name is too long; shorten it",
}
"""What is wrong with the path that an OSError names."""


def explain(error: Exception) -> str | None:
    """The message for the user; None for an error that is a fault of the code and needs its traceback."""
    if isinstance(error, OSError):
        if _origin(error) == "multiprocessing.synchronize":
            return (
                f"this system gives no semaphore ({error}), which worker processes and TensorBoard need; on "
                "Linux: mount a /dev/shm that can be written and has room"
            )
        number = error.errno or 0
        if error.filename and number in _PATHS:
            return f"{printable(str(error.filename))}: {_PATHS[number]}"
        return explain_full_disk(error) or _LIMITS.get(number) or str(error)
    if isinstance(error, MemoryError) or any(words in str(error) for words in _MEMORY):
        return f"memory ran out ({error}): {_LESS_MEMORY}"
    if isinstance(error, BrokenProcessPool):
        return f"a worker process was killed, perhaps because memory ran out: {_LESS_MEMORY}"
    if isinstance(error, RuntimeError) and "Could not determine home directory" in str(error):
        return "a path begins with ~, and that user's home directory is unknown: write the path in full"
    if isinstance(error, RuntimeError) and "start new thread" in str(error):
        return _LIMITS[errno.EAGAIN]
    missing_extra = isinstance(error, ModuleNotFoundError) and "pip install" in str(error)
    return str(error) if missing_extra or isinstance(error, ValueError) else None


def _origin(error: Exception) -> str:
    """Name of the module that raised an error."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return frames[-1].f_globals.get("__name__", "") if frames else ""
