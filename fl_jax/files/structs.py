"""JSON read into msgspec structs: bounded in size and nesting; errors name file, place and value."""

import json
import re
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from fl_jax.files.regular import read_bytes
from fl_jax.files.text import printable

T = TypeVar("T")
DEEPEST = 32
"""Levels of nesting."""
LARGEST_NUMBER = 2**63
REMEDY = "delete it and run its stage again"


def read_struct(path: Path, kind: type[T], *, remedy: str = REMEDY) -> T | None:
    """Reads a JSON file as any type that msgspec converts to; None if there is no such file.

    Raises:
        ValueError: names the file, the place in it, the value and the remedy.
    """
    try:
        data = read_bytes(path)
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ValueError(f"{error}; {remedy}") from error
    return parse(f"{path}", data, kind, remedy=remedy)


def parse(where: str, data: bytes, kind: type[T], *, remedy: str = REMEDY) -> T:
    """Parses UTF-8 JSON, in which NaN and Infinity are numbers; `where` names file and line in errors."""
    try:
        value = json.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where}: {printable(str(error))}; {remedy}") from error
    excess = _excess(value, DEEPEST)
    if excess:
        raise ValueError(f"{where}: {excess}; {remedy}")
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        wrong = _explain(value, kind, str(error))
        raise ValueError(f"{where}: {printable(wrong)}; {remedy}") from error


def _excess(value: Any, levels: int) -> str:
    if levels == 0:
        return f"is nested more than {DEEPEST} levels deep"
    if isinstance(value, int) and abs(value) > LARGEST_NUMBER:
        return f"holds a number beyond {LARGEST_NUMBER}"
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return next(filter(None, (_excess(item, levels - 1) for item in inner)), "")


def _explain(root: Any, kind: Any, message: str) -> str:
    """Msgspec's message with the whole path and the value there; msgspec writes `[...]` for a dict's key."""
    said, at, place = message.rpartition(" - at ")
    said, place = (said, place) if at else (message, "")
    shown, value = "", root
    for name, index in re.findall(r"\.([^.\[`]+)|\[(\d+|\.\.\.)\]", place):
        key = _failing_key(root, value, kind, message) if index == "..." else name or int(index)
        shown, value = shown + (f"[{key}]" if index.isdecimal() else f".{key}"), value[key]
    return f"{shown.removeprefix('.') or 'it'} is {value!r:.100}: {said}"


def _failing_key(root: Any, holder: dict[str, Any], kind: Any, message: str) -> str:
    """The first key of a dict in `root` whose value gives `message`, by halving the dict."""
    everything, keys = dict(holder), list(holder)
    while len(keys) > 1:
        half = keys[: len(keys) // 2]
        holder.clear()
        holder.update((key, everything[key]) for key in half)
        try:
            msgspec.convert(root, kind)
            fails = False
        except msgspec.ValidationError as error:
            fails = str(error) == message
        keys = half if fails else keys[len(half) :]
    holder.clear()
    holder.update(everything)
    return keys[0]
