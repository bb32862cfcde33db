"""Bounds on what one file may make the reader do, checked before anything is decoded.

Reading a file within them takes less than 5 s of one core and 400 MiB.
"""

import io
import zlib

from fl_jax.data.dicom.refusal import Reason, RefusedError

LARGEST_SIDE = 2048
"""Rows and Columns; high-resolution scanners reconstruct 2048 x 2048, nearly all 512 x 512."""
LARGEST_FILE = 2**25
"""Bytes of a file, also after a deflated one is inflated; the largest picture has 2**23 bytes of pixels."""
LONGEST_VALUE = 2**16
"""Bytes of a header element that is read; DICOM allows 64 to 10,240 characters."""
MOST_READS = 100_000
"""Reads of pydicom's parser in one file: one to three an element, also in nested sequences."""
MOST_FRAGMENTS = 4096
"""Fragments of compressed pixels."""


def check(what: str, size: int, largest: int) -> None:
    """Refuses a file whose `what` has a size above `largest`."""
    if size > largest:
        raise RefusedError(Reason.TOO_LARGE, f"{what}: {size:,}, and at most {largest:,} are read")


class DeflatedError(Exception):
    """Ends pydicom's parser before it inflates a file; `args[0]` is what it would inflate."""


class BoundedReader(io.BytesIO):
    """Bytes of which a parser may read only `MOST_READS` times, since sequences nest and have many items."""

    reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """Reads as `BytesIO` does.

        Raises:
            DeflatedError: all that is left is wanted, which pydicom would inflate without a bound.
        """
        self.reads += 1
        check("steps to parse the header", self.reads, MOST_READS)
        data = super().read(size)
        if size is None or size < 0:
            raise DeflatedError(data)
        return data


def inflate(data: bytes) -> bytes:
    """Inflates a raw deflate stream to at most `LARGEST_FILE` bytes."""
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    inflated = stream.decompress(data, LARGEST_FILE + 1)
    check("bytes of the inflated file", len(inflated), LARGEST_FILE)
    if not stream.eof:
        raise RefusedError(Reason.TRUNCATED, "the deflated file ends early")
    return inflated
