"""What a JSON file may hold, told before anything is made of it.

A shape is a type, None, a tuple of shapes of which one must fit, `[shape]` for a list of any length, or a
dict. A dict names its keys, `?` behind one that may be absent; the key `*` is every other one. Keys that are
not named may hold anything. An int is a count, and so not negative.
"""

import json
from pathlib import Path
from typing import Any

from fl_jax.files.text import printable

Shape = Any
DEEPEST = 32
"""Levels of nesting."""
LARGEST = 2**63
NUMBER = (int, float, None)
COUNT = (int, None)
TEXT = (str, None)
AGAIN = "run its stage again"


def read(path: Path, shape: Shape, remedy: str = AGAIN) -> dict[str, Any] | None:
    """Reads a JSON file of one object; None where there is none.

    Args:
        path: the file.
        shape: what it must be.
        remedy: what to do about one that is not.

    Raises:
        ValueError: with the file, the place in it and the value; see `check`.
    """
    if not path.exists():
        return None
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: {error}; delete it and {remedy}") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path}: holds {type(value).__name__}, not an object of names and values")
    check(f"{path}", value, shape, remedy)
    return value


def check(where: str, value: Any, shape: Shape, remedy: str = AGAIN) -> None:
    """Checks what `json.loads` gave.

    Args:
        where: the file, and the line where there are many, for the error.
        value: of it.
        shape: what it must be.
        remedy: what to do about a value that is not.

    Raises:
        ValueError: with the place in the file and the value, when that is of another shape, a count is
            negative, or something is too large or nested too deep for whoever reads it.
    """
    wrong = _unbounded(value, DEEPEST) or _wrong(value, shape, "")
    if wrong is not None:
        raise ValueError(f"{where}: {printable(wrong)}; {remedy}")


def _unbounded(value: Any, left: int) -> str | None:
    """What is too deep or too large for whoever reads it; None without any."""
    if left == 0:
        return f"is nested more than {DEEPEST} deep"
    if isinstance(value, int) and abs(value) > LARGEST:
        return f"holds a number beyond {LARGEST}"
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return next(filter(None, (_unbounded(item, left - 1) for item in inner)), None)


def _wrong(value: Any, shape: Shape, place: str) -> str | None:
    """What is wrong with a value; None where it fits."""
    said = f"{place.removeprefix('.') or 'it'} is {value!r:.100}"
    match shape:
        case tuple():
            found = [_wrong(value, one, place) for one in shape]
            # Of several shapes the message is of the one that goes deepest, and so is meant.
            return None if None in found else max([said, *map(str, found)], key=len)
        case dict() if isinstance(value, dict):
            known = {name.removesuffix("?") for name in shape}
            for name in shape.keys() - {"*"}:
                if not name.endswith("?") and name not in value:
                    return f"{place.removeprefix('.') or 'it'} lacks {name}"
            for key, item in value.items():
                one = shape.get(key, shape.get(f"{key}?")) if key in known else shape.get("*", ...)
                wrong = None if one is ... else _wrong(item, one, f"{place}.{key}")
                if wrong is not None:
                    return wrong
            return None
        case list() if isinstance(value, list):
            found = (_wrong(item, shape[0], f"{place}[{n}]") for n, item in enumerate(value))
            return next((wrong for wrong in found if wrong is not None), None)
        case type():
            fits = type(value) is shape and (shape is not int or value >= 0)
            return None if fits else f"{said}, not {shape.__name__}"
        case None:
            return None if value is None else said
    return said
