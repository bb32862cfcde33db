"""PyTorch state dicts from a file, as NumPy arrays by name; nothing in the file is executed.

safetensors: 8 bytes n, little-endian; n bytes of JSON {name: {dtype, shape, data_offsets}}; the arrays' data.
.pth, .pt:   by `torch.load(weights_only=True)`, which builds tensors and refuses every other object.

The digest is checked before anything is read. The format is https://github.com/huggingface/safetensors, which
is little enough to be read here, so that `.safetensors` needs no more packages; `.pth` needs PyTorch.
"""

import importlib
import json
import math
import re
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from fl_jax.files.atomic import sha256
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
_HEADER = 100 * 2**20
"""The longest header that the format allows, bytes."""
_DIGITS = 8
"""Of a digest, at the least; as many as are in the names of torchvision's files."""


def read(path: Path, digest: str = "") -> dict[str, np.ndarray]:
    """Reads a state dict whose digest is right.

    Args:
        path: a `.safetensors`, `.pth` or `.pt` file.
        digest: the first digits, eight at least, of the file's SHA-256; empty takes them from its name, as
            in `resnet50-0676ba61.pth`.

    Returns:
        The arrays by their names.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: when the digest is missing or another one, or the file is not what its ending says.
        ModuleNotFoundError: for a `.pth` without PyTorch.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file of weights")
    if path.suffix not in (".safetensors", ".pth", ".pt"):
        raise ValueError(f"{path}: must be a .safetensors, .pth or .pt file")
    _check(path, digest.lower())
    return safetensors(path) if path.suffix == ".safetensors" else _torch(path)


def _check(path: Path, digest: str) -> None:
    named = re.search(r"-([0-9a-f]{8,64})\.[a-z]+$", path.name)
    wanted = digest or (named[1] if named else "")
    found = sha256(path)
    if not re.fullmatch(f"[0-9a-f]{{{_DIGITS},64}}", wanted):
        raise ValueError(
            f"digest={digest!r}: {path} needs {_DIGITS} digits or more of the SHA-256 that its source "
            f"states; the file's own is {found}"
        )
    if not found.startswith(wanted):
        raise ValueError(
            f"{path}: its SHA-256 is {found}, and {wanted} was asked for: "
            "the file is damaged or another one; copy it again from its source"
        )


def safetensors(path: Path) -> dict[str, np.ndarray]:
    """Reads a `.safetensors` file of one's own, whose digest nobody has stated.

    Args:
        path: of the file.

    Returns:
        The arrays by their names.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is none of that format: also where names come twice, or bytes belong to two arrays or
            to none.
    """
    data = np.memmap(path, np.uint8, "r") if path.stat().st_size >= 8 else np.zeros(0, np.uint8)
    size = int.from_bytes(data[:8].tobytes(), "little")
    if len(data) < 8 or size > min(_HEADER, len(data) - 8):
        raise ValueError(f"{path}: is no safetensors file, or is cut off in its header")
    try:
        header = json.loads(data[8 : 8 + size].tobytes(), object_pairs_hook=_object)
        header.pop("__metadata__", None)
        body = data[8 + size :]
        found = {name: _array(body, entry) for name, entry in header.items()}
        _check_tiles(len(body), [entry["data_offsets"] for entry in header.values()])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        detail = printable(f"{error}")
        raise ValueError(f"{path}: is no safetensors file, or is cut off: {detail}") from error
    return found


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError(f"a name comes twice among {[name for name, _ in pairs]}")
    return found


def _check_tiles(size: int, offsets: list[list[int]]) -> None:
    ends = 0
    for begin, end in sorted(offsets):
        if begin != ends:
            raise ValueError(f"an array begins at byte {begin} where the one before ends at {ends}")
        ends = end
    if ends != size:
        raise ValueError(f"the arrays have {ends} bytes of {size}")


def _array(body: np.ndarray, entry: dict[str, Any]) -> np.ndarray:
    (begin, end), shape = entry["data_offsets"], tuple(entry["shape"])
    dtype = np.dtype(_TYPES[entry["dtype"]])
    if not all(type(number) is int and number >= 0 for number in (begin, end, *shape)):
        raise ValueError(f"{entry} holds what is no count")
    if not begin <= end <= len(body) or end - begin != dtype.itemsize * math.prod(shape):
        raise ValueError(f"{entry} does not fit {len(body)} bytes of arrays")
    if dtype == np.bool_ and (body[begin:end] > 1).any():
        raise ValueError(f"{entry} holds bytes that are neither true nor false")
    return np.frombuffer(body[begin:end].tobytes(), dtype).reshape(shape)


def _torch(path: Path) -> dict[str, np.ndarray]:
    try:
        torch = importlib.import_module("torch")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{path}: needs PyTorch to be read; install torch, or give a .safetensors file"
        ) from error
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of many kinds, with advice to trust the file, which nobody should
        raise ValueError(f"{path}: holds more than tensors, or is damaged") from error
    if not isinstance(found, dict) or not all(map(torch.is_tensor, found.values())):
        raise ValueError(f"{path}: holds no state dict, which is tensors by their names")
    if not all(isinstance(name, str) for name in found):
        raise ValueError(f"{path}: holds tensors by what is no name")
    try:
        return {
            name: (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).detach().numpy()
            for name, tensor in found.items()
        }
    except (TypeError, RuntimeError) as error:  # sparse, quantised, or without any numbers
        raise ValueError(f"{path}: holds a tensor that is no plain array: {error}") from error
