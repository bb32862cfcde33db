"""The checkpoints of a training: the newest few steps of one folder.

A step that cannot be read, or whose digests differ, is renamed to `damaged_<step>`, and the previous step is
restored. `Store.save` returns once everything is on disk, so a power cut loses at most the step in progress.

Orbax writes arrays with tensorstore, which (0.1.86) leaks 25 to 30 KiB of memory a save. This matters after
tens of thousands of saves; `config.checkpoint_every` makes them fewer.
"""

import logging
import re
import shutil
from pathlib import Path
from typing import Any

import jax

from fl_jax.experiment import checkpoint_step
from fl_jax.experiment.checkpoint_step import OURS, Layout, Named, OtherFormatError
from fl_jax.experiment.reporter import Reporter
from fl_jax.files.atomic import sync
from fl_jax.files.folders import make
from fl_jax.files.text import printable

_UNFINISHED = re.compile(r"\d+\.orbax-checkpoint-tmp.*")
"""Folders in which Orbax writes a step before it renames them."""
_PATTERN = re.compile(r"\[[^/]*\]|\*\*|\\")
"""Orbax takes the path of a step for a pattern when it joins the files of its processes, and finds none."""
_OVERHEAD = 2**20
"""Bytes that a step takes besides its arrays, with a margin."""


def check_path(folder: str | Path) -> None:
    """Checks that checkpoints below a folder could be read again, before work that would be lost.

    Raises:
        ValueError: they could not, as its path is a pattern to Orbax.
    """
    path = Path(folder).absolute()
    pattern = _PATTERN.search(str(path))
    if pattern:
        raise ValueError(
            f"--workdir: {path} has {pattern[0]} in its path, below which Orbax writes checkpoints that "
            "cannot be read; rename the folder or use another --workdir"
        )


class Store:
    """The checkpoints of one training in one folder; keeps the newest."""

    def __init__(self, directory: str | Path, *, keep: int = 2, read_only: bool = False) -> None:
        """Opens or creates the folder.

        Args:
            directory: has one folder a step.
            keep: how many of the newest steps to keep, at least 1.
            read_only: change nothing in the folder, which must exist.

        Raises:
            ValueError: Orbax could not read again what it writes below this path.
        """
        self.directory = Path(directory).absolute()
        self._read_only, self._keep = read_only, keep
        if not read_only:
            check_path(self.directory)
            make(self.directory)
            for path in self.directory.iterdir():
                if _UNFINISHED.fullmatch(path.name) and not path.is_symlink():
                    shutil.rmtree(path)

    def save(self, step: int, tree: Any, facts: dict[str, Any]) -> None:
        """Saves a pytree of arrays and typed keys, with facts that JSON can express, as one step.

        Raises:
            ValueError: the folder has this or a later step, or two arrays have the same path.
            OSError: the disk is full; earlier steps stay as they are.
        """
        newest = max(self.steps(), default=-1)
        if newest >= step:
            raise ValueError(
                f"step={step}: {self.directory} has step {newest} already; restore it and continue from "
                "there, or remove the folder"
            )
        self.check_room(tree)
        folder, log = self.directory / str(step), logging.getLogger("absl")
        log.addFilter(_is_no_traceback)
        try:
            checkpoint_step.write(folder, tree, facts)
        except ValueError as error:
            raise _system_error(error, self.directory) or error from error
        finally:
            log.removeFilter(_is_no_traceback)
        for path in (*folder.rglob("*"), folder, folder.parent):
            sync(path)
        self._remove(self.steps()[self._keep :])

    def check_room(self, tree: Any) -> None:
        """Checks that a tree fits on the disk.

        Raises:
            OSError: it does not; gives the free and the needed space.
        """
        leaves = jax.tree.leaves(checkpoint_step.untyped(tree))
        needed = sum(leaf.nbytes for leaf in leaves) + _OVERHEAD
        free = shutil.disk_usage(self.directory).free
        if free < needed:
            raise OSError(
                f"{self.directory}: {free / 2**20:.1f} MiB are free and a checkpoint needs "
                f"{needed / 2**20:.1f} MiB; free some space and run this again: earlier steps are kept"
            )

    def restore(
        self, like: Any, reporter: Reporter, *, step: int | None = None
    ) -> tuple[int, Any, dict[str, Any]] | None:
        """Restores the newest sound step; newer, damaged ones are renamed to `damaged_<step>`.

        Args:
            like: a pytree of the same structure, shapes, dtypes and placement; a `jax.ShapeDtypeStruct` gives
                a NumPy array, and stands for a key's integers.
            reporter: gets a message for every damaged step.
            step: the step to restore; None takes the newest sound one.

        Returns:
            Step, tree and facts; None if there is no step.

        Raises:
            ValueError: no step is sound, or the requested one is not, or another version wrote it.
        """
        newest = self.read_newest(reporter, step=step, expected=checkpoint_step.layout_of(like))
        if newest is None:
            return None
        number, named, facts = newest
        self._set_aside([other for other in self.steps() if other > number and step is None])
        self._remove(self.steps()[self._keep :])
        tree = checkpoint_step.shaped(named, like)
        return number, tree, {k: v for k, v in facts.items() if k not in OURS}

    def read_newest(
        self, reporter: Reporter, *, step: int | None = None, expected: Layout | None = None
    ) -> tuple[int, Named, dict[str, Any]] | None:
        """Reads the newest sound step, or only `step`; changes nothing.

        Returns:
            Step, arrays by path, and facts; None if there is no step.

        Raises:
            ValueError: as for `restore`.
        """
        steps, why = self.steps(), ""
        if step is not None and step not in steps:
            raise ValueError(f"step={step}: {self.directory} has the steps {steps}")
        steps = steps if step is None else [step]
        for number in steps:
            try:
                return number, *self.read(number, expected)
            except OtherFormatError:
                raise
            except Exception as error:  # whatever a damaged file makes tensorstore raise
                why = printable(str(error))
                reporter.message(f"checkpoint {number} in {self.directory} is damaged: {why}")
        if steps:
            raise ValueError(
                f"{self.directory}: none of the checkpoints {steps} can be read ({why}); "
                "remove the folder to start afresh"
            )
        return None

    def steps(self) -> list[int]:
        """All steps, sound or damaged, newest first."""
        folders = (
            path for path in self.directory.iterdir() if path.is_dir() and not path.is_symlink()
        )
        names = (path.name for path in folders if path.name.isdecimal())
        return sorted((int(name) for name in names if str(int(name)) == name), reverse=True)

    def read(self, step: int, expected: Layout | None = None) -> tuple[Named, dict[str, Any]]:
        """Reads and verifies a step, see `checkpoint_step.read`."""
        return checkpoint_step.read(self.directory / str(step), expected)

    def _set_aside(self, damaged: list[int]) -> None:
        """Renames steps, so that they can be saved again."""
        for step in damaged if not self._read_only else ():
            aside = self.directory / f"damaged_{step}"
            shutil.rmtree(aside, ignore_errors=True)
            (self.directory / str(step)).rename(aside)

    def _remove(self, old: list[int]) -> None:
        """Deletes steps, and the rest of those whose deletion was interrupted."""
        for step in old if not self._read_only else ():
            shutil.rmtree(self.directory / str(step))


def _system_error(error: ValueError, directory: Path) -> OSError | None:
    """The operating system's error behind one of tensorstore, such as a full disk; None for any other."""
    code = re.search(r"\[os_error_code='(\d+)'", str(error))
    return OSError(int(code[1]), str(error).rpartition(": ")[2], str(directory)) if code else None


def _is_no_traceback(record: logging.LogRecord) -> bool:
    """Drops from Orbax's log the traceback of an error that `save` raises as well."""
    return "_SignalingThread.run() raised" not in record.getMessage()
