"""Reads PyTorch state dicts as NumPy arrays by name, without executing anything in the file.

safetensors: 8 bytes n, little-endian; n bytes of JSON {name: {dtype, shape, data_offsets}}; the arrays' data.
.pth, .pt:   `torch.load(weights_only=True)`, which accepts tensors only; needs PyTorch.

The SHA-256 is checked first. Nothing in these files is compressed, so their size bounds that of the arrays.
Format: https://github.com/huggingface/safetensors.
"""

import hashlib
import importlib
import io
import json
import math
import re
import zipfile
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from fl_jax.files.regular import read_bytes
from fl_jax.files.text import printable

_TYPES = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "BF16": jnp.bfloat16,
    "I64": np.int64,
    "I32": np.int32,
    "I16": np.int16,
    "I8": np.int8,
    "U8": np.uint8,
    "BOOL": np.bool_,
}
LARGEST = 2**34
"""Bytes of a file."""
_HEADER = 2**24
"""Bytes of a safetensors header, 100,000 arrays; the format allows 100 MB."""
_DIGITS = 8
"""Minimum length of a digest, as in the names of torchvision's files."""


def read(path: Path, digest: str = "") -> dict[str, np.ndarray]:
    """Reads a state dict after checking its digest.

    Args:
        path: a `.safetensors`, `.pth` or `.pt` file.
        digest: the first 8 or more hexadecimal digits of the file's SHA-256; if empty, they come from the
            name, as in `resnet50-0676ba61.pth`.

    Returns:
        Arrays by name.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the digest is missing or does not match, or the file is malformed.
        ModuleNotFoundError: a `.pth` file without PyTorch.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file of weights")
    if path.suffix not in (".safetensors", ".pth", ".pt"):
        raise ValueError(f"{path}: must be a .safetensors, .pth or .pt file")
    data = read_bytes(path, LARGEST)
    _check(path, data, digest.lower())
    return _safetensors(path, data) if path.suffix == ".safetensors" else _torch(path, data)


def _check(path: Path, data: bytes, digest: str) -> None:
    named = re.search(r"-([0-9a-f]{8,64})\.[a-z]+$", path.name)
    expected = digest or (named[1] if named else "")
    actual = hashlib.sha256(data).hexdigest()
    if not re.fullmatch(f"[0-9a-f]{{{_DIGITS},64}}", expected):
        raise ValueError(
            f"digest={digest!r}: {path} needs at least {_DIGITS} digits of the SHA-256 that its source "
            f"publishes; this file has {actual}"
        )
    if not actual.startswith(expected):
        raise ValueError(
            f"{path}: has SHA-256 {actual}, expected {expected}: "
            "the file is damaged or a different one; copy it again from its source"
        )


def safetensors(path: Path) -> dict[str, np.ndarray]:
    """Reads a `.safetensors` file without a digest.

    Args:
        path: the file.

    Returns:
        Arrays by name.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the file is malformed; this includes duplicate names, and overlapping or unused bytes.
    """
    return _safetensors(path, read_bytes(path, LARGEST))


def _safetensors(path: Path, data: bytes) -> dict[str, np.ndarray]:
    size = int.from_bytes(data[:8], "little")
    if len(data) < 8 or size > min(_HEADER, len(data) - 8):
        raise ValueError(f"{path}: not a safetensors file, or truncated in its header")
    try:
        header = json.loads(data[8 : 8 + size], object_pairs_hook=_object)
        header.pop("__metadata__", None)
        body = np.frombuffer(data, np.uint8, offset=8 + size)
        arrays = {name: _array(body, entry) for name, entry in header.items()}
        _check_tiles(len(body), [entry["data_offsets"] for entry in header.values()])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        detail = printable(f"{error}")
        raise ValueError(f"{path}: not a safetensors file, or truncated: {detail}") from error
    return arrays


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entries = dict(pairs)
    if len(entries) < len(pairs):
        raise ValueError(f"duplicate names in {[name for name, _ in pairs]}")
    return entries


def _check_tiles(size: int, offsets: list[list[int]]) -> None:
    previous = 0
    for begin, end in sorted(offsets):
        if begin != previous:
            raise ValueError(
                f"an array starts at byte {begin}, but the previous one ends at {previous}"
            )
        previous = end
    if previous != size:
        raise ValueError(f"the arrays take {previous} of {size} bytes")


def _array(body: np.ndarray, entry: dict[str, Any]) -> np.ndarray:
    (begin, end), shape = entry["data_offsets"], tuple(entry["shape"])
    dtype = np.dtype(_TYPES[entry["dtype"]])
    if not all(type(number) is int and number >= 0 for number in (begin, end, *shape)):
        raise ValueError(f"{entry}: offsets and shape must be non-negative integers")
    if not begin <= end <= len(body) or end - begin != dtype.itemsize * math.prod(shape):
        raise ValueError(f"{entry} does not fit into {len(body)} bytes of data")
    if dtype == np.bool_ and (body[begin:end] > 1).any():
        raise ValueError(f"{entry} has boolean bytes other than 0 and 1")
    return body[begin:end].view(dtype).reshape(shape)


def _torch(path: Path, data: bytes) -> dict[str, np.ndarray]:
    try:
        torch = importlib.import_module("torch")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{path}: reading it needs PyTorch; run: pip install torch, or use a .safetensors file"
        ) from error
    try:
        _check_stored(data)
        loaded = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # various types, whose text advises to trust the file
        raise ValueError(f"{path}: contains more than tensors, or is damaged") from error
    if not isinstance(loaded, dict) or not all(map(torch.is_tensor, loaded.values())):
        raise ValueError(f"{path}: not a state dict, a dictionary of tensors by name")
    if not all(isinstance(name, str) for name in loaded):
        raise ValueError(f"{path}: has keys that are not strings")
    if any(tensor.numel() * tensor.element_size() > len(data) for tensor in loaded.values()):
        raise ValueError(f"{path}: has a tensor that is larger than the file")
    try:
        return {
            name: (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).detach().numpy()
            for name, tensor in loaded.items()
        }
    except (TypeError, RuntimeError) as error:  # sparse, quantised or meta tensors
        raise ValueError(f"{path}: has a tensor that is not a plain array: {error}") from error


def _check_stored(data: bytes) -> None:
    """Refuses a compressed archive; PyTorch writes none."""
    if zipfile.is_zipfile(io.BytesIO(data)):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
                raise ValueError("is compressed")
