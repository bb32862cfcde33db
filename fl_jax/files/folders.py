"""Folders that fl_jax makes carry a marker; only what lies in a marked folder is deleted or replaced.

claim(data_dir, "dataset", flag="--data_dir")
with locks.lock(data_dir, "dataset", flag="--data_dir"):
    remove(data_dir / "slices", "dataset")
"""

import os
import re
import shutil
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NoReturn

from fl_jax.files.disk_errors import explain
from fl_jax.files.links import Kind, check_write, has_marker, is_marked, marker
from fl_jax.files.regular import open_write

_SYSTEM = re.compile(
    r"lost\+found|\.DS_Store|\._.+|Thumbs\.db|desktop\.ini|\.nfs[0-9a-f]+|\.Trash-\d+|@eaDir"
    r"|System Volume Information|\$RECYCLE\.BIN"
)


def is_system(name: str) -> bool:
    """Whether an operating system makes files of this name by itself, also in an empty folder or disk."""
    return _SYSTEM.fullmatch(name) is not None


def walk(source: str | os.PathLike[str]) -> Iterator[tuple[str, list[str], list[str]]]:
    """`os.walk` without the system's folders, in sorted order; links to folders are listed, not followed.

    Raises:
        OSError: a folder cannot be listed.
    """
    for folder, folders, names in os.walk(source, onerror=_fail):
        folders[:] = sorted(name for name in folders if not is_system(name))
        yield folder, folders, names


def _fail(error: OSError) -> NoReturn:
    raise error


def claim(folder: Path, kind: Kind, *, flag: str) -> None:
    """Creates a folder with the marker of its kind, or checks that it has one.

    An empty folder of the user's is claimed too, and one with nothing but marked folders, such as a dataset,
    and files of the system.
    Two processes may claim a folder at once.

    Args:
        folder: the folder; it may be a link to one, unless it lies in a marked folder.
        kind: of the folder.
        flag: the argument that names the folder, for the errors.

    Raises:
        ValueError: the folder has files but no marker of this kind, or lies below a link; see `links`.
        OSError: the folder cannot be written, with the reason.
    """
    mark = marker(folder, kind)
    check_write(mark)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        names = [
            name for name in os.listdir(folder) if not (is_system(name) or is_marked(folder / name))
        ]
        if not names:
            open_write(mark, "new").close()
    except OSError as error:
        if not has_marker(folder, kind):  # else another process claimed it just now
            raise explain(folder, error, flag) from error
        return
    if names and not has_marker(folder, kind):
        raise ValueError(
            f"{folder} has files, but no marker that fl_jax made it as a {kind}, so nothing in it is "
            f"replaced; give a new or an empty folder as {flag}, or, if fl_jax did make it, run: "
            f"touch '{mark}'"
        )


def make(folder: Path) -> None:
    """Creates a folder and its parents in a marked folder, unless they exist.

    Raises:
        ValueError: one of them is a link; see `links`.
    """
    check_write(folder / "x")
    folder.mkdir(parents=True, exist_ok=True)


def remove(folder: Path, kind: Kind) -> None:
    """Deletes a folder that carries the marker of a kind, or lies in one that does; links are not followed.

    An interrupted deletion leaves the marker. A folder that does not exist is no error.

    Raises:
        ValueError: there is no such marker, or the folder is a link or no folder, or lies below a link.
    """
    check_write(folder)
    try:
        status = os.lstat(folder)
    except FileNotFoundError:
        return
    if not any(has_marker(above, kind) for above in (folder, *folder.absolute().parents)):
        raise ValueError(
            f"{folder} is not deleted: it carries no marker that fl_jax made it as a {kind}; "
            "delete it yourself"
        )
    if not stat.S_ISDIR(status.st_mode):
        raise ValueError(f"{folder} is not deleted: it is a link or a file; delete it yourself")
    mark = marker(folder, kind)
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            elif entry.name != mark.name:
                os.unlink(entry.path)
    mark.unlink(missing_ok=True)
    folder.rmdir()


def check_ours(root: Path, names: Iterable[str], ours: re.Pattern[str]) -> None:
    """Checks that folders hold only files that fl_jax or the system writes, before they are deleted.

    Args:
        root: a marked folder.
        names: of folders in it.
        ours: the paths, relative to `root`, of the files that fl_jax writes.

    Raises:
        ValueError: names another file.
    """
    for folder in (root / name for name in names):
        for parent, _, files in os.walk(folder):
            for name in sorted(files):
                path = Path(parent, name)
                if not (is_system(name) or ours.fullmatch(path.relative_to(root).as_posix())):
                    raise ValueError(
                        f"{path} is not of fl_jax, but {folder} is to be replaced: move it"
                    )


def check_tree(folder: Path) -> None:
    """Checks that a folder holds only folders and regular files, before a library writes into it.

    Raises:
        ValueError: it is, or holds, a link or a special file.
    """
    check_write(folder / "x")
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            mode = os.lstat(f"{parent}/{name}").st_mode
            if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
                raise ValueError(f"{parent}/{name} is a link or a special file; delete it")
