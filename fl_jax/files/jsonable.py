"""Converts nested results to plain JSON values."""

import math
from collections.abc import Mapping
from typing import Any

import msgspec


def jsonable(value: Any) -> Any:
    """Converts nested values to what `json.dumps(..., allow_nan=False)` takes.

    Args:
        value: nested mappings, sequences, structs, NumPy scalars and arrays, numbers, strings.

    Returns:
        The same, with null for NaN and infinity, lists for tuples and arrays, objects for structs and
        NamedTuples, and strings for keys.
    """
    if isinstance(value, msgspec.Struct):
        return jsonable(msgspec.to_builtins(value))
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if hasattr(value, "_asdict"):  # a NamedTuple
        return jsonable(value._asdict())
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    if hasattr(value, "tolist"):
        return jsonable(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
