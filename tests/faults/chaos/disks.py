"""A small disk of its own, which fills up or becomes read-only: a tmpfs, which takes the rights to mount."""

import shutil
import subprocess
from pathlib import Path
from types import TracebackType


class Disk:
    """A mounted disk; as a context it is unmounted at its end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def remount(self, options: str) -> None:
        """Changes it, `size=64m` or `ro`."""
        _call("mount", "-o", f"remount,{options}", str(self._folder))

    def __enter__(self) -> "Disk":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _call("umount", str(self._folder))


def mount(folder: Path, *, kib: int) -> Disk:
    """Makes a folder that is a disk of so many KiB.

    Raises:
        OSError: this user may not mount, or the system has no tmpfs.
    """
    folder.mkdir()
    _call("mount", "-t", "tmpfs", "-o", f"size={kib}k", "fl_jax", str(folder))
    return Disk(folder)


def _call(*command: str) -> None:
    if shutil.which(command[0]) is None:
        raise OSError(f"there is no program {command[0]}")
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise OSError(done.stderr.strip().splitlines()[0])
