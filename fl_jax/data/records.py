"""Pixel records of a dataset: a TFDS dataset of array_record files, written in order, read at random.

Anybody opens it with `tfds.builder_from_directory(folder)`. We read the records ourselves, without
TensorFlow: TFDS would import the classes that `features.json` names, and a folder may come from anywhere.
"""

import contextlib
import errno
import functools
import mmap
import os
import pathlib
import resource
import threading
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any

import numpy as np

from fl_jax.core.types import LABELS
from fl_jax.data.metadata import REMEDY, SHARD, VERSION
from fl_jax.files.atomic import named
from fl_jax.files.extras import extra
from fl_jax.files.text import printable

SPLIT = "slices"
"""TFDS requires a split name and reserves `all`."""
NAME = "ct_slices"
SHARD_BYTES = 2**28
CHUNK = 64
"""Records per call of TFDS, which rewrites the dataset's metadata each time."""
_WRITE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
THREADS = 64
"""Threads of array_record, however many cores there are."""
THREADS_WITHIN = 30.0
"""Seconds for them to start, which takes 0.02."""


def _features(tfds: Any, size: int) -> Any:
    pixels = tfds.features.Tensor(
        shape=(size, size), dtype=np.int16, encoding=tfds.features.Encoding.BYTES
    )
    labels = tfds.features.Tensor(shape=(len(LABELS),), dtype=np.int8)
    return tfds.features.FeaturesDict(
        {"image": tfds.features.Text(), "hu": pixels, "labels": labels}
    )


class Writer:
    """Writes records in order; use as a context manager.

    Args:
        folder: an empty folder.
        size: H = W in pixels.
    """

    def __init__(self, folder: pathlib.Path, size: int):
        with extra("ct"):
            import tensorflow_datasets as tfds

        identity = tfds.core.DatasetIdentity(
            name=NAME,
            version=tfds.core.Version(VERSION),
            data_dir=str(folder),
            module_name=__name__,
        )
        self._writer = tfds.core.SequentialWriter(
            tfds.core.DatasetInfo(
                builder=identity,
                description=__doc__,
                features=_features(tfds, size),
                disable_shuffling=True,  # record i is row i of the index
            ),
            max_examples_per_shard=max(1, SHARD_BYTES // (2 * size * size)),
            file_format="array_record",
        )
        self._folder = folder
        with named(folder):
            self._writer.initialize_splits([SPLIT])
        self._waiting: list[dict[str, Any]] = []

    def add(self, image: str, hu: np.ndarray, labels: np.ndarray) -> None:
        """Appends a record.

        Args:
            image: the image's name.
            hu: int16[H, W] in HU.
            labels: int8[L].
        """
        self._waiting.append({"image": image, "hu": hu, "labels": labels})
        if len(self._waiting) == CHUNK:
            self._flush()

    def _flush(self) -> None:
        with self._os_errors():
            self._writer.add_examples({SPLIT: self._waiting})
        self._waiting = []

    @contextlib.contextmanager
    def _os_errors(self) -> Iterator[None]:
        """Turns array_record's RuntimeError, e.g. of a full disk, into an OSError; names the folder."""
        try:
            with named(self._folder):
                yield
        except RuntimeError as error:
            codes = (code for code in _WRITE_ERRORS if os.strerror(code) in str(error))
            code = next(codes, errno.EIO)
            raise OSError(code, printable(str(error)), str(self._folder)) from error

    def __enter__(self) -> "Writer":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self._flush()
        with self._os_errors() if kind is None else contextlib.suppress(Exception):
            self._writer.close_all()


class Records:
    """Random access to the records under a folder.

    Args:
        folder: a folder that `Writer` wrote.
        size: H = W in pixels.

    Raises:
        ValueError: no record, a missing or damaged shard, or pixels of another size.
        OSError: the process may not start array_record's threads.
    """

    def __init__(self, folder: pathlib.Path, size: int):
        with extra("ct"):
            import tensorflow_datasets as tfds
            from array_record.python.array_record_data_source import ArrayRecordDataSource

        _start_threads()
        self._folder, self._features = folder, _features(tfds, size)
        shards = sorted(path for path in folder.iterdir() if SHARD.fullmatch(f"slices/{path.name}"))
        numbers = [int(path.name.rpartition("-")[2]) for path in shards]
        if not shards or numbers != [*range(len(shards))]:
            raise ValueError(f"{folder}: has shards {numbers} of {NAME}; {REMEDY}")
        try:
            self._source = ArrayRecordDataSource([str(path) for path in shards])
        except Exception as error:  # array_record raises arbitrary errors on damaged files
            raise ValueError(f"{folder}: {printable(f'{error!r}')}; {REMEDY}") from error
        self[0]

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, row: int) -> dict[str, Any]:
        return self.__getitems__([row])[0]

    def __getitems__(self, rows: Sequence[int]) -> list[dict[str, Any]]:
        """Reads records: `image` bytes, `hu` int16[H, W], `labels` int8[L]."""
        try:
            read = self._source.__getitems__(rows)
            return [self._features.deserialize_example_np(record) for record in read]
        except Exception as error:
            raise ValueError(f"{self._folder}: {printable(f'{error!r}')}; {REMEDY}") from error


@functools.cache
def _start_threads() -> None:
    """Starts array_record's threads, which the first reader of a process otherwise does.

    If one cannot start, array_record waits for it for ever, or crashes.

    Raises:
        OSError: they cannot start.
    """
    from array_record.python.array_record_module import ArrayRecordReader

    stack = max(resource.getrlimit(resource.RLIMIT_STACK)[0], 2**23)
    arenas = min(THREADS, 8 * (os.cpu_count() or 1))  # of glibc's allocator, 64 MiB each
    size = THREADS * stack + arenas * 2**26
    try:
        mmap.mmap(-1, size, prot=0).close()
    except OSError as error:
        raise OSError(
            f"array_record needs {size / 2**30:.1f} GiB of address space for its {THREADS} threads: raise "
            "this process's limit (ulimit -v)"
        ) from error
    starter = threading.Thread(target=ArrayRecordReader, args=(os.devnull,), daemon=True)
    starter.start()
    starter.join(THREADS_WITHIN)
    if starter.is_alive():
        raise OSError(
            f"array_record cannot start its {THREADS} threads: raise this process's limit (ulimit -u)"
        )
