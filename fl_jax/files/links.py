"""Refuses symbolic links that lead out of a folder: an unpacked archive may contain one to any file."""

import os
import pathlib


def check_link(path: str, folder: pathlib.Path) -> None:
    """Checks that a link's target lies in `folder`.

    Raises:
        ValueError: the target is elsewhere.
    """
    target = os.path.realpath(path)
    if not pathlib.Path(target).is_relative_to(os.path.realpath(folder)):
        raise ValueError(
            f"{path}: is a link out of {folder}, to {target}; put the file itself there"
        )
