"""A file is there whole or as it was before, whatever is killed and when; after a power cut, too."""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any


@contextlib.contextmanager
def whole(path: str | os.PathLike[str], mode: str = "w") -> Iterator[IO[Any]]:
    """Opens `<path>.partial`, which takes the file's name once it is written and on the disk.

    Args:
        path: the file; its folder must exist.
        mode: `'w'`, UTF-8 with line ends as they are given, or `'wb'`.

    Yields:
        The open file. After an exception the file is what it was before, and what is written is gone.
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
    """Gives an OSError the name of the file; one that comes of a write, as on a full disk, has none."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def sync(path: str | os.PathLike[str]) -> None:
    """Waits until the disk has a file's bytes, or a folder's names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256(path: Path) -> str:
    """A file's digest, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: Path, value: Any) -> None:
    """Writes JSON whole or not at all."""
    write_text(path, json.dumps(value, indent=1) + "\n")


def write_text(path: Path, text: str) -> None:
    """Writes a text file whole or not at all."""
    with whole(path) as file:
        file.write(text)


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all."""
    with whole(path, "wb") as file:
        file.write(content)
