"""File locks: only one process may write to a part of a workdir at a time.

The operating system holds the locks and releases them when the process exits, however it ends. They keep
processes apart, not threads.
"""

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

LOCKS = ".locks"
_TAKEN = (errno.EACCES, errno.EAGAIN)
_REASONS = {
    errno.EROFS: "its file system is read-only",
    errno.EACCES: "this user may not write there",
    errno.EPERM: "this user may not write there",
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "this user's disk quota is used up",
    errno.ENOTDIR: "part of the path is a file",
    errno.EEXIST: "part of the path is a file",
    errno.ENOLCK: "its file system does not support locks",
}


@contextlib.contextmanager
def lock(workdir: Path, name: str, *, wait: bool = False) -> Iterator[None]:
    """Locks a part of a workdir, after a check that the workdir can be written.

    The lock is on the file `.locks/<name>`, which stays and holds the last process's number.

    Args:
        workdir: the folder, which is created if need be.
        name: of the part: `experiment`, `partition` or an arm.
        wait: wait for another process instead of raising.

    Raises:
        ValueError: another process has the lock, with its number; or the name is not a single part of a path.
        OSError: the folder cannot be written, with the reason.
    """
    check_name(name)
    path = workdir / LOCKS / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise _explain(workdir, error) from error
    with file:  # closing any handle of the file releases the lock, so it is opened once
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            file.truncate(0)
            file.write(f"{os.getpid()}\n")
            file.flush()
        except OSError as error:
            if error.errno not in _TAKEN:
                raise _explain(workdir, error) from error
            file.seek(0)
            raise ValueError(
                f"{workdir}: process {file.read().strip() or 'unknown'} is writing {name!r}; "
                "wait for it, stop it, or use another --workdir"
            ) from None
        yield


def check_name(name: str) -> None:
    """Refuses a name that leads out of the folder that it is looked up in."""
    if Path(name).name != name or name in ("", "..") or "\0" in name:
        raise ValueError(f"{name!r} is no valid name: it must be a single part of a path")


def _explain(workdir: Path, error: OSError) -> OSError:
    reason = _REASONS.get(error.errno or 0, str(error))
    return OSError(f"{workdir} cannot be written: {reason}; fix this, or use another --workdir")


def explain_full_disk(error: OSError) -> str:
    """What to do about a disk that filled up during a run; empty for every other error."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return ""
    return (
        f"{error.filename or 'a file'} cannot be written: {_REASONS[error.errno]}; free some space and run "
        "this again: finished work is kept"
    )
