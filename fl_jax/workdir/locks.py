"""A workdir belongs to one program at a time, can be written; said before anything is overwritten."""

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

LOCKS = ".locks"
_TAKEN = (errno.EACCES, errno.EAGAIN)
_REASONS = {
    errno.EROFS: "it is on a file system that can only be read",
    errno.EACCES: "this user may not write there",
    errno.EPERM: "this user may not write there",
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "this user's share of the disk is full",
    errno.ENOTDIR: "a part of the path is a file",
    errno.EEXIST: "a part of the path is a file",
    errno.ENOLCK: "its file system has no locks",
}


@contextlib.contextmanager
def held(workdir: Path, name: str, *, wait: bool = False) -> Iterator[None]:
    """Makes a workdir and holds a part of it, so that no second program writes the same.

    The lock is the system's, on `.locks/<name>`, and is gone with the process however that ends; the file
    stays and names whoever held it last. Processes, not threads, keep each other out.

    Args:
        workdir: a folder; it is made.
        name: of the part, `study`, `partition` or a model's.
        wait: for another process that holds it.

    Raises:
        ValueError: another process holds it and is not to be waited for; names folder and process. Or the
            name is none of a file.
        OSError: the folder cannot be written; says why.
    """
    check_model(name)
    path = workdir / LOCKS / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise _explained(workdir, error) from error
    with file:  # the lock goes with the first closing of the file, so it is opened once
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            file.truncate(0)
            file.write(f"{os.getpid()}\n")
            file.flush()
        except OSError as error:
            if error.errno not in _TAKEN:
                raise _explained(workdir, error) from error
            file.seek(0)
            raise ValueError(
                f"{workdir}: process {file.read().strip() or 'unknown'} is at work on {name} "
                "there; wait for its end, end it, or use another --workdir"
            ) from None
        yield


def check_model(name: str) -> None:
    """Raises ValueError where a model's name would lead out of the folder that it is to be found in."""
    if Path(name).name != name or name in ("", "..") or "\0" in name:
        raise ValueError(f"{name!r} names no model: it must be one part of a path")


def _explained(workdir: Path, error: OSError) -> OSError:
    reason = _REASONS.get(error.errno or 0, str(error))
    return OSError(f"{workdir} cannot be written: {reason}; put it right, or use another --workdir")


def without_room(error: OSError) -> str:
    """What to do about a disk that filled up during a run; empty for every other error."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return ""
    return (
        f"{error.filename or 'a file'} cannot be written: {_REASONS[error.errno]}; make room, and run this "
        "again: what is finished is kept"
    )
