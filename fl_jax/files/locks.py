"""File locks: only one process may write to a part of a folder at a time.

The operating system holds the locks and releases them when the process exits, however it ends. They keep
processes apart, not threads.
"""

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from fl_jax.files.disk_errors import explain
from fl_jax.files.folders import make
from fl_jax.files.regular import open_write

LOCKS = ".locks"
_TAKEN = (errno.EACCES, errno.EAGAIN)


class Lock:
    """A lock that this process has, see `lock`."""

    def __init__(self, file: IO[str], folder: Path) -> None:
        self._file, self._folder = file, folder

    def check(self) -> None:
        """Checks that the lock still keeps other processes out.

        Raises:
            ValueError: the folder or the lock's file was deleted, so that another process may write there.
        """
        if os.fstat(self._file.fileno()).st_nlink == 0:
            raise ValueError(
                f"{self._folder}: the folder, or {LOCKS} in it, was deleted while this process was writing "
                "to it; run this again"
            )


@contextlib.contextmanager
def lock(folder: Path, name: str, *, flag: str, wait: bool = False) -> Iterator[Lock]:
    """Locks a part of a folder, after a check that the folder can be written.

    The lock is on the file `.locks/<name>`, which stays and holds the last process's number.

    Args:
        folder: the folder, which is created if need be; claim it first, see `folders`.
        name: of the part, such as an arm of a workdir.
        flag: the argument that names the folder, for the errors.
        wait: wait for another process instead of raising.

    Yields:
        The lock. If its file is deleted, another process can lock a new one; `Lock.check` notices that.

    Raises:
        ValueError: another process has the lock, with its number; the name is not a single part of a path; or
            the lock's file is a link or no regular file.
        OSError: the folder cannot be written, with the reason.
    """
    check_name(name)
    path = folder / LOCKS / name
    try:
        make(path.parent)
        file = open_write(path, "append", text=True)
    except OSError as error:
        raise explain(folder, error, flag) from error
    with file:  # closing any handle of the file releases the lock, so it is opened once
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            file.truncate(0)
            file.write(f"{os.getpid()}\n")
            file.flush()
        except OSError as error:
            if error.errno not in _TAKEN:
                raise explain(folder, error, flag) from error
            file.seek(0)
            raise ValueError(
                f"{folder}: process {file.read(20).strip() or 'unknown'} is writing {name!r}; "
                f"wait for it, stop it, or use another {flag}"
            ) from None
        yield Lock(file, folder)


def check_name(name: str) -> None:
    """Refuses a name that leads out of the folder that it is looked up in."""
    if Path(name).name != name or name in ("", "..") or "\0" in name:
        raise ValueError(f"{name!r} is no valid name: it must be a single part of a path")
