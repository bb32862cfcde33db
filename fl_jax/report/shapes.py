"""What the JSON files of a study may hold, told before a page is drawn from them.

A shape is a type, None, a tuple of shapes of which one must fit, `[shape]` for a list of any length, or a
dict. A dict names its keys, `?` behind one that may be absent; the key `*` is every other one. Keys that are
not named may hold anything. An int is a count, and so not negative.
"""

from typing import Any

from fl_jax.text import printable
from fl_jax.types import LABELS

Shape = Any
DEEPEST = 32
"""Levels of nesting."""
LARGEST = 2**63
NUMBER = (int, float, None)
COUNT = (int, None)
TEXT = (str, None)
_INTERVAL = {"estimate": NUMBER, "low": NUMBER, "high": NUMBER}
_LABELS = {f"{label}?": COUNT for label in LABELS}

ROUND = {
    "round": int,
    **dict.fromkeys(("loss?", "val_macro_auroc?", "val_loss?", "examples?"), NUMBER),
    "site_loss?": ({"*": NUMBER}, None),
    "left_out?": ({"*": str}, [str], None),
    "faults?": ({"*": [str]}, None),
}
"""A line of metrics.jsonl."""
DONE = {
    **dict.fromkeys(("best_round?", "rounds?", "examples_seen?", "parameters?"), COUNT),
    **dict.fromkeys(("best_val_macro_auroc?", "images_per_second?", "seconds?"), NUMBER),
}
"""done.json"""
MANIFEST = {
    "config?": (
        {
            **dict.fromkeys(("seed?", "resamples?"), int),
            **dict.fromkeys(("source?", "data_dir?", "survey?", "algorithm?"), TEXT),
            "margin?": (int, float),
        },
        None,
    ),
    "command?": TEXT,
    "versions?": ({"*": str}, None),
    "stages?": ({"*": NUMBER}, None),
}
"""manifest.json"""
INPUTS = {"backbone?": str}
"""inputs.json of a model, as far as a report reads it"""
SUMMARY = {
    "refused?": NUMBER,
    "sites?": {
        "*": {
            **dict.fromkeys(("patients?", "studies?", "slices?"), COUNT),
            "positives?": _LABELS,
            "refused?": {"*": int},
            "repairs?": {"*": int},
            **dict.fromkeys(("labels_without_image?", "images_without_label?"), int),
        }
    },
}
"""The dataset's summary.json"""
SALIENCY = {
    **dict.fromkeys(("model", "predictions", "slices"), str),
    **dict.fromkeys(("samples", "seed", "resamples"), int),
    "noise_hu": (int, float),
    "subtypes": {
        f"{label}?": (
            {
                **dict.fromkeys(("fit", "slices", "patients", "checked_slices"), int),
                **dict.fromkeys(("share", "chance", "difference", "random_share"), _INTERVAL),
                "correlation": {"all": _INTERVAL, "*": _INTERVAL},
            },
            None,
        )
        for label in LABELS[1:]
    }
    | {"*": ()},
}
"""saliency.json"""


def check(where: str, value: Any, shape: Shape) -> None:
    """Checks what `json.loads` gave.

    Args:
        where: the file, and the line where there are many, for the error.
        value: of it.
        shape: one of this module's.

    Raises:
        ValueError: with the place in the file and the value, when that is of another shape, a count is
            negative, or something is too large or nested too deep for whoever reads it.
    """
    _bounded(where, value, DEEPEST)
    wrong = _wrong(value, shape, "")
    if wrong is not None:
        raise ValueError(f"{where}: {printable(wrong)}; run its stage again")


def _bounded(where: str, value: Any, left: int) -> None:
    if left == 0:
        raise ValueError(f"{where}: is nested more than {DEEPEST} deep; run its stage again")
    if isinstance(value, int) and abs(value) > LARGEST:
        raise ValueError(f"{where}: holds a number beyond {LARGEST}; run its stage again")
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for item in inner:
        _bounded(where, item, left - 1)


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
