"""Results on standard output: text for people, or one JSON document with `--json`."""

import contextlib
import json
from collections.abc import Callable
from typing import Any

from absl import flags

from fl_jax.files.jsonable import jsonable


def define_json_flag() -> None:
    """Defines `--json`, which every program has."""
    flags.DEFINE_bool("json", False, "Print the result as JSON on standard output.")


def show(result: Any, text: Callable[[], None]) -> None:
    """Prints a program's result.

    Args:
        result: mappings, sequences, numbers, strings, paths; NaN becomes null.
        text: prints it for people; not called with `--json`.
    """
    with contextlib.suppress(BrokenPipeError):  # the reader, such as `head`, has enough
        if flags.FLAGS.json:
            print(json.dumps(jsonable(result), indent=1, allow_nan=False, default=str))
        else:
            text()
