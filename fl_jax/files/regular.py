"""Opens regular files only: a FIFO would block for ever, a device has no end, a link may lead anywhere."""

import hashlib
import io
import os
import stat
from pathlib import Path
from typing import IO, Any, Literal

from fl_jax.files.links import check_read, check_write

LARGEST = 2**26
"""Bytes that are read of a JSON or text file."""
_KINDS = (
    *((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a named pipe"), (stat.S_ISSOCK, "a socket")),
    *((stat.S_ISCHR, "a device"), (stat.S_ISBLK, "a device"), (stat.S_ISLNK, "a link")),
)
_WRITE = {
    "new": os.O_CREAT | os.O_EXCL | os.O_WRONLY,
    "append": os.O_CREAT | os.O_APPEND | os.O_RDWR,
}


def open_read(
    path: str | os.PathLike[str], *, largest: int | None = None, checked: bool = False
) -> io.BufferedReader:
    """Opens a regular file for reading, without blocking.

    Args:
        path: the file, or a link to it; below a marked folder, see `links`, no link that leads out.
        largest: bound on its size, in bytes.
        checked: whether its listing has checked links, which takes longer than reading a picture.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no regular file, too large, or a link out of a marked folder.
    """
    if not checked:
        check_read(path)
    _check(path, os.stat(path))  # first, because opening a device may act on it
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        status = os.fstat(descriptor)
        _check(path, status)
        if largest is not None and status.st_size > largest:
            raise ValueError(_too_large(path, status.st_size, largest))
        return open(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_bytes(path: str | os.PathLike[str], largest: int = LARGEST) -> bytes:
    """Reads a regular file of at most `largest` bytes; raises as `open_read` does."""
    with open_read(path, largest=largest) as file:
        size = os.fstat(file.fileno()).st_size
        data = file.read(size + 1)
        if len(data) > size:  # it grows, or is one of /proc, whose sizes are 0
            data += file.read(largest + 1 - size)
    if len(data) > largest:
        raise ValueError(_too_large(path, len(data), largest))
    return data


def read_text(path: str | os.PathLike[str], largest: int = LARGEST) -> str:
    """Reads a regular UTF-8 file of at most `largest` bytes.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: as `open_read`, or it is not UTF-8.
    """
    try:
        return read_bytes(path, largest).decode()
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}: is not UTF-8 text ({error.reason} at byte {error.start})"
        ) from None


def sha256(path: str | os.PathLike[str]) -> str:
    """A regular file's SHA-256 digest, 64 hexadecimal digits."""
    with open_read(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def open_write(
    path: str | os.PathLike[str], how: Literal["new", "append"], *, text: bool = False
) -> IO[Any]:
    """Opens a regular file for writing, never through a link.

    Args:
        path: the file; its directory must exist.
        how: `'new'` creates the file; `'append'` also takes an existing one, and may read it.
        text: whether to write UTF-8, without newline translation. Appending bytes is not buffered.

    Raises:
        FileExistsError: a new file exists.
        ValueError: it is no regular file, it has several names, or a folder above it is a link; see `links`.
    """
    check_write(path)
    if how == "append" and os.path.lexists(path):
        _check(path, os.lstat(path))
    flags = _WRITE[how] | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
    descriptor = os.open(path, flags, 0o666)
    try:
        status = os.fstat(descriptor)
        _check(path, status)
        if status.st_nlink > 1:  # a hard link may be to any file, as a symbolic link may
            raise ValueError(f"{path}: is one of {status.st_nlink} names of a file; copy the file")
        mode = "w" if how == "new" else "a+"
        if text:
            return open(descriptor, mode, encoding="utf-8", newline="")
        return open(descriptor, f"{mode}b", buffering=0 if how == "append" else -1)
    except BaseException:
        os.close(descriptor)
        raise


def _check(path: str | os.PathLike[str], status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = next((name for is_kind, name in _KINDS if is_kind(status.st_mode)), "no file")
        raise ValueError(f"{Path(path)}: is {kind}; put a regular file there")


def _too_large(path: str | os.PathLike[str], size: int, largest: int) -> str:
    return f"{Path(path)}: has {size} bytes or more, at most {largest} are read"
