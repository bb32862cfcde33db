"""Symbolic links: an unpacked archive may contain one to any file of the user.

A folder that fl_jax made carries a marker, an empty file `.fl_jax-<kind>`; see `folders`. The folder itself
may be a link that the user made. Below it, nothing is written through a link, and no link out of it is read.
"""

import os
import stat
from pathlib import Path
from typing import Literal, get_args

Kind = Literal["workdir", "dataset", "cohort", "evaluation", "seeds", "sweep", "export"]
MARKER = ".fl_jax-"
"""A marker's name without the kind."""


def marker(folder: Path, kind: Kind) -> Path:
    """The file that marks a folder."""
    return folder / f"{MARKER}{kind}"


def has_marker(folder: Path, kind: Kind) -> bool:
    """Whether a folder carries the marker of a kind."""
    try:
        return stat.S_ISREG(os.lstat(marker(folder, kind)).st_mode)
    except OSError:
        return False


def is_marked(folder: Path) -> bool:
    """Whether a folder, which is no link, carries a marker of any kind."""
    return not folder.is_symlink() and _has_any_marker(folder)


def marked_folder(path: str | os.PathLike[str]) -> Path | None:
    """The outermost marked folder that contains a path; None without one."""
    outermost, absolute = None, Path(path).absolute()
    for folder in absolute.parents:
        if folder.name == "..":  # a folder above it does not contain the path
            break
        if _has_any_marker(folder):
            outermost = folder
    return outermost


def _has_any_marker(folder: Path) -> bool:
    return any(has_marker(folder, kind) for kind in get_args(Kind))


def check_write(path: str | os.PathLike[str]) -> None:
    """Checks that no folder between the outermost marked folder and `path` is a link.

    Raises:
        ValueError: one is.
    """
    root = marked_folder(path)
    for folder in Path(path).absolute().parents if root else ():
        if folder == root:
            return
        if folder.is_symlink():
            raise ValueError(
                f"{folder} is a link, through which nothing is written; replace it by a folder"
            )


def check_read(path: str | os.PathLike[str]) -> None:
    """Checks that a path below a marked folder does not lead out of it.

    Raises:
        ValueError: it does.
    """
    root = marked_folder(path)
    if root is not None:
        check_link(path, root)


def check_link(path: str | os.PathLike[str], folder: Path) -> None:
    """Checks that a path leads into `folder`, links resolved.

    Raises:
        ValueError: it leads elsewhere.
    """
    target = os.path.realpath(path)
    if not Path(target).is_relative_to(os.path.realpath(folder)):
        raise ValueError(
            f"{path}: is a link out of {folder}, to {target}; put there what it leads to (a folder of "
            "another disk can be mounted there, with mount --bind), or delete the link"
        )
