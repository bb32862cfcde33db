"""Atomic file writes: after a crash or power cut, a file has its old or its new content, never part of it.

All files that fl_jax writes go through `atomic_open`, or through `regular.open_write` if they grow.
"""

import contextlib
import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Literal

from fl_jax.files.links import check_write
from fl_jax.files.regular import open_write


@contextlib.contextmanager
def atomic_open(path: str | os.PathLike[str], mode: Literal["w", "wb"] = "w") -> Iterator[IO[Any]]:
    """Opens `<path>.partial` for writing, and renames it to `path` once it is on disk.

    A link at `path` or at the partial file is replaced, never followed.

    Args:
        path: the file; its directory must exist.
        mode: `'w'` for UTF-8 without newline translation, or `'wb'`.

    Yields:
        The open file. An exception leaves `path` unchanged and deletes the partial file.

    Raises:
        ValueError: a folder above `path` is a link; see `links`.
        OSError: another process writes the file at the same time, which a lock must prevent.
    """
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    check_write(path)
    with named(path):
        partial.unlink(missing_ok=True)
    try:
        with named(path), open_write(partial, "new", text=mode == "w") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if not os.path.samestat(os.fstat(file.fileno()), os.lstat(partial)):
                raise OSError(errno.EBUSY, "another process writes this file now", str(path))
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    replace(partial, path)


def replace(source: str | os.PathLike[str], path: str | os.PathLike[str]) -> None:
    """Renames a file, whose content is on disk, within its folder."""
    check_write(path)
    os.replace(source, path)
    sync(Path(path).parent)


def delete(path: str | os.PathLike[str]) -> None:
    """Deletes a file, or a link and not its target, if there is one."""
    check_write(path)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


@contextlib.contextmanager
def named(path: str | os.PathLike[str]) -> Iterator[None]:
    """Adds the file name to an OSError without one, such as from a write to a full disk."""
    try:
        yield
    except OSError as error:
        if error.errno is not None:  # else its text is all there is, and a name would hide it
            error.filename = error.filename or str(path)
        raise


def sync(path: str | os.PathLike[str]) -> None:
    """Flushes a file's content, or a directory's entries, to disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Writes JSON atomically."""
    write_text(path, json.dumps(value, indent=1) + "\n")


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes a text file atomically."""
    with atomic_open(path) as file:
        file.write(text)


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Writes a file atomically."""
    with atomic_open(path, "wb") as file:
        file.write(content)
