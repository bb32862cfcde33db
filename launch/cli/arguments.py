"""Refuses command line arguments that are not flags."""

from collections.abc import Sequence

from absl import app


def only_flags(argv: Sequence[str]) -> None:
    """Checks that a program has no positional argument.

    Args:
        argv: what absl's flags leave over, the program's name first.

    Raises:
        app.UsageError: names the first such argument.
    """
    if len(argv) > 1:
        raise app.UsageError(f"unknown argument {argv[1]!r}: flags start with --")
