"""Reads .npz files of arrays: without Python objects, and within a bound on their decoded size."""

import math
import os
import zipfile
from pathlib import Path

import numpy as np

from fl_jax.files.regular import open_read
from fl_jax.files.text import printable

LARGEST = 2**33
"""Bytes of a file's arrays."""
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def read_npz(path: str | os.PathLike[str], largest: int = LARGEST) -> dict[str, np.ndarray]:
    """Reads all arrays of an .npz file by name.

    Args:
        path: the file.
        largest: bound on the size of all arrays, in bytes; a file of 3 MB may hold 3 GB of zeros.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, too large, or has Python objects.
    """
    with open_read(path) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                members = archive.infolist()
                size = sum(member.file_size for member in members)
                if size > largest:
                    raise ValueError(f"its arrays take {size} bytes, at most {largest} are read")
                return {m.filename.removesuffix(".npy"): _array(archive, m) for m in members}
        except Exception as error:  # whatever zipfile and NumPy raise for a damaged file
            raise ValueError(
                f"{Path(path)}: is no readable .npz of numeric arrays: {printable(str(error))}"
            ) from error


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    """Reads an array whose header declares exactly the bytes that follow."""
    with archive.open(member) as stream:
        shape, _, dtype = _HEADERS[np.lib.format.read_magic(stream)](stream)
        declared = stream.tell() + math.prod(shape) * dtype.itemsize
        if declared != member.file_size or min(shape, default=0) < 0 or not dtype.itemsize:
            raise ValueError(f"{member.filename} declares {dtype}{list(shape)}, another size")
        stream.seek(0)
        return np.lib.format.read_array(stream, allow_pickle=False)
