"""Atomic file writes: after a crash or power cut, a file has its old or its new content, never part of it."""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any


@contextlib.contextmanager
def atomic_open(path: str | os.PathLike[str], mode: str = "w") -> Iterator[IO[Any]]:
    """Opens `<path>.partial` for writing, and renames it to `path` once it is on disk.

    Args:
        path: the file; its directory must exist.
        mode: `'w'` for UTF-8 without newline translation, or `'wb'`.

    Yields:
        The open file. An exception leaves `path` unchanged and deletes the partial file.
    """
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    encoding, newline = (None, None) if "b" in mode else ("utf-8", "")
    try:
        with named(path), partial.open(mode, encoding=encoding, newline=newline) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    os.replace(partial, path)
    sync(path.parent)


@contextlib.contextmanager
def named(path: str | os.PathLike[str]) -> Iterator[None]:
    """Adds the file name to an OSError without one, such as from a write to a full disk."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def sync(path: str | os.PathLike[str]) -> None:
    """Flushes a file's content, or a directory's entries, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256(path: Path) -> str:
    """A file's SHA-256 digest, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: Path, value: Any) -> None:
    """Writes JSON atomically."""
    write_text(path, json.dumps(value, indent=1) + "\n")


def write_text(path: Path, text: str) -> None:
    """Writes a text file atomically."""
    with atomic_open(path) as file:
        file.write(text)


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file atomically."""
    with atomic_open(path, "wb") as file:
        file.write(content)
