"""Checkpoints written by Orbax, with digests that are verified when restored.

Orbax alone opens a step, `ocp.StandardCheckpointer().restore(directory / step / "arrays")`. Its items:

- `arrays`: nested dicts of arrays, by their path in the tree; typed PRNG keys as the integers behind them.
- `facts`, JSON: the caller's, and `format`; `arrays`, the path, dtype, shape and SHA-256 of each array;
  `digest` of them all; `facts_digest`.

Orbax saves atomically, but it does not notice a flipped bit, and its list of steps may contain a step that is
half deleted. A step that cannot be read, or whose digests differ, is renamed to `damaged_<step>`, and the
previous step is restored. `Store.save` returns once everything is on disk, so a power cut loses at most the
step in progress.

Orbax writes arrays with tensorstore, which (0.1.86) leaks 25 to 30 KiB of memory a save. This matters after
tens of thousands of saves; `config.checkpoint_every` makes them fewer.
"""

import hashlib
import json
import logging
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

from fl_jax.files.atomic import sync

FORMAT = 5
"""Format of what `Store.save` writes; no other is read."""
_OURS = ("format", "arrays", "facts_digest")
_OVERHEAD = 2**20
"""Bytes that a step takes besides its arrays, with a margin."""

T = TypeVar("T")
Named = dict[str, np.ndarray]
"""Arrays by path, such as `state/server/params/Dense_0/kernel`."""


class OtherFormatError(ValueError):
    """A checkpoint of another version of fl_jax; it is not damaged."""


class Store:
    """The checkpoints of one training in one directory; keeps the newest."""

    def __init__(self, directory: str | Path, *, keep: int = 2, read_only: bool = False) -> None:
        """Opens or creates the directory.

        Args:
            directory: has one folder a step.
            keep: how many of the newest steps to keep, at least 1.
            read_only: change nothing in the directory, which must exist.
        """
        options = ocp.CheckpointManagerOptions(
            max_to_keep=None if read_only else keep,
            enable_async_checkpointing=False,
            create=not read_only,
            read_only=read_only,
        )
        self.directory = Path(directory).absolute()
        self._read_only, self._keep = read_only, keep
        self._manager = ocp.CheckpointManager(self.directory, options=options)

    def save(self, step: int, tree: Any, facts: dict[str, Any]) -> None:
        """Saves a pytree of arrays and typed keys, with facts that JSON can express, as one step.

        Raises:
            ValueError: the directory has this or a later step, or two arrays have the same path.
            OSError: the disk is full; earlier steps stay as they are.
        """
        self.check_room(tree)
        nested, named = _nested(tree), _by_path(tree)
        rows = _table(named)
        facts = {name: value for name, value in facts.items() if name not in _OURS}
        facts = json.loads(json.dumps(facts))  # as `read` returns it
        facts |= {"format": FORMAT, "arrays": rows, "digest": _digest(rows)}
        facts["facts_digest"] = _digest(facts)
        items = ocp.args.Composite(
            arrays=ocp.args.StandardSave(nested), facts=ocp.args.JsonSave(facts)
        )
        log = logging.getLogger("absl")
        log.addFilter(_is_no_traceback)
        try:
            saved = self._manager.save(step, args=items)
        except ValueError as error:
            raise _system_error(error, self.directory) or error from error
        finally:
            log.removeFilter(_is_no_traceback)
        if not saved:
            raise ValueError(
                f"step={step}: {self.directory} has step {self._manager.latest_step()} already; restore it "
                "and continue from there, or remove the folder"
            )
        folder = self.directory / str(step)
        for path in (*folder.rglob("*"), folder, folder.parent):
            sync(path)
        self._remove(self.steps()[self._keep :])

    def check_room(self, tree: Any) -> None:
        """Checks that a tree fits on the disk.

        Raises:
            OSError: it does not; gives the free and the needed space.
        """
        needed = sum(leaf.nbytes for leaf in jax.tree.leaves(_untyped(tree))) + _OVERHEAD
        free = shutil.disk_usage(self.directory).free
        if free < needed:
            raise OSError(
                f"{self.directory}: {free / 2**20:.1f} MiB are free and a checkpoint needs "
                f"{needed / 2**20:.1f} MiB; free some space and run this again: earlier steps are kept"
            )

    def restore(
        self, like: Any, *, step: int | None = None, complain: Callable[[str], None]
    ) -> tuple[int, Any, dict[str, Any]] | None:
        """Restores the newest sound step; newer, damaged ones are renamed to `damaged_<step>`.

        Args:
            like: a pytree of the same structure, shapes, dtypes and placement.
            step: the step to restore; None takes the newest sound one.
            complain: called with a sentence for every damaged step.

        Returns:
            Step, tree and facts; None if there is no step.

        Raises:
            ValueError: no step is sound, or the requested one is not, or another version wrote it.
        """
        newest = self._newest(lambda number: self._restore(number, like), step, complain)
        if newest is None:
            return None
        number, (tree, facts), steps = newest
        self._set_aside([other for other in steps if other > number])
        self._remove([other for other in steps if other <= number][self._keep :])
        return number, tree, {k: v for k, v in facts.items() if k not in _OURS}

    def read_newest(
        self, *, complain: Callable[[str], None]
    ) -> tuple[int, Named, dict[str, Any]] | None:
        """Reads the newest sound step without knowing its structure; changes nothing.

        Args:
            complain: called with a sentence for every damaged step.

        Returns:
            Step, arrays by path, and facts; None if there is no step.

        Raises:
            ValueError: as for `restore`.
        """
        newest = self._newest(self.read, None, complain)
        return None if newest is None else (newest[0], *newest[1])

    def steps(self) -> list[int]:
        """All steps, sound or damaged, newest first."""
        names = (path.name for path in self.directory.iterdir() if path.is_dir())
        return sorted((int(name) for name in names if name.isdecimal()), reverse=True)

    def read(self, step: int) -> tuple[Named, dict[str, Any]]:
        """Reads and verifies a step without knowing its structure.

        Returns:
            The arrays by path, and the facts, with those that `save` adds.

        Raises:
            Exception: whatever a damaged file makes Orbax raise; ValueError when a digest does not agree.
            OtherFormatError: another version of fl_jax wrote the step.
        """
        facts = self._item(step, "facts", ocp.args.JsonRestore())
        written = facts.get("format", 1)
        if written != FORMAT:
            raise OtherFormatError(
                f"{self.directory}: step {step} has format {written}, and this version of fl_jax "
                f"reads format {FORMAT}: use the version that wrote it, or remove the folder"
            )
        if (
            _digest({k: v for k, v in facts.items() if k != "facts_digest"})
            != facts["facts_digest"]
        ):
            raise ValueError("its facts have changed since they were saved")
        rows = {row["path"]: row for row in facts["arrays"]}
        named = _by_path(self._item(step, "arrays", ocp.args.StandardRestore()))
        named |= {
            path: np.zeros(row["shape"], jnp.dtype(row["dtype"]))
            for path, row in rows.items()
            if 0 in row["shape"]
        }
        wrong = [row["path"] for row in _table(named) if rows.pop(row["path"], None) != row]
        if wrong or rows:
            raise ValueError(f"changed since they were saved: {', '.join([*wrong, *rows])}")
        return named, facts

    def close(self) -> None:
        """Waits for pending work and releases the directory."""
        self._manager.close()

    def _restore(self, step: int, like: Any) -> tuple[Any, dict[str, Any]]:
        named, facts = self.read(step)
        return _shaped(named, like), facts

    def _newest(
        self, load: Callable[[int], T], step: int | None, complain: Callable[[str], None]
    ) -> tuple[int, T, list[int]] | None:
        """The newest step that `load` accepts, what it returns, and the steps that were candidates."""
        steps = self.steps()
        if step is not None and step not in steps:
            raise ValueError(f"step={step}: {self.directory} has the steps {steps}")
        steps = steps if step is None else [step]
        for number in steps:
            try:
                return number, load(number), steps
            except OtherFormatError:
                raise
            except Exception as error:  # whatever a damaged file makes Orbax raise
                complain(f"checkpoint {number} in {self.directory} is damaged: {error!r}")
        if steps:
            raise ValueError(
                f"{self.directory}: none of the checkpoints {steps} can be read; "
                "remove the folder to start afresh"
            )
        return None

    def _set_aside(self, damaged: list[int]) -> None:
        """Renames steps, because Orbax saves no step that is as old as one in its list."""
        if self._read_only:
            return
        for step in damaged:
            shutil.rmtree(self.directory / f"damaged_{step}", ignore_errors=True)
            (self.directory / str(step)).rename(self.directory / f"damaged_{step}")
        self._manager.reload()

    def _remove(self, old: list[int]) -> None:
        """Finishes interrupted deletions; Orbax forgets a step whose metadata is gone."""
        if self._read_only or not old:
            return
        for step in old:
            shutil.rmtree(self.directory / str(step))
        self._manager.reload()

    def _item(self, step: int, name: str, how: Any) -> Any:
        return self._manager.restore(step, args=ocp.args.Composite(**{name: how}))[name]


def arrays(tree: Any) -> list[dict[str, Any]]:
    """Path, dtype, shape and SHA-256 of every array of a tree, sorted by path."""
    return _table(_by_path(tree))


def _by_path(tree: Any) -> Named:
    leaves = jax.tree_util.tree_leaves_with_path(_untyped(tree))
    return {_join(path): np.asarray(leaf) for path, leaf in leaves}


def _nested(tree: Any) -> dict[str, Any]:
    """The arrays in nested dicts; Orbax refuses arrays without elements, which are left out."""
    nested: dict[str, Any] = {}
    leaves = jax.tree_util.tree_leaves_with_path(_untyped(tree))
    names = {_join(path).replace("/", ".") for path, _ in leaves}
    if len(names) < len(leaves):  # Orbax would save one of two
        raise ValueError(
            f"the tree's {len(leaves)} arrays have {len(names)} paths: "
            "rename a key that contains '/' or '.'"
        )
    for path, leaf in leaves:
        if not leaf.size:
            continue
        *folders, name = (jax.tree_util.keystr((key,), simple=True) for key in path)
        place = nested
        for folder in folders:
            place = place.setdefault(folder, {})
        place[name] = np.asarray(leaf)
    return nested


def _shaped(named: Named, like: Any) -> Any:
    """A tree of the structure of `like`, each array on the devices of its example."""
    leaves, structure = jax.tree_util.tree_flatten_with_path(_untyped(like))
    wanted = {_join(path): (leaf.shape, leaf.dtype) for path, leaf in leaves}
    there = {path: (array.shape, array.dtype) for path, array in named.items()}
    wrong = [path for path in wanted | there if wanted.get(path) != there.get(path)]
    if wrong:
        raise ValueError(f"not the arrays that this run has: {', '.join(wrong)}")
    plain = structure.unflatten(_placed(named[_join(path)], leaf) for path, leaf in leaves)
    return jax.tree.map(_typed, plain, like)


def _placed(array: np.ndarray, like: Any) -> Any:
    if not isinstance(like, jax.Array):
        return array
    return jax.device_put(array, like.sharding) if like.committed else jnp.array(array)


def _untyped(tree: Any) -> Any:
    """Typed keys become the integers behind them."""
    return jax.tree.map(lambda x: jax.random.key_data(x) if _is_key(x) else x, tree)


def _typed(leaf: Any, example: Any) -> Any:
    if not _is_key(example):
        return leaf
    return jax.random.wrap_key_data(leaf, impl=jax.random.key_impl(example))


def _is_key(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _table(named: Named) -> list[dict[str, Any]]:
    return [
        {
            "path": path,
            "dtype": str(array.dtype),
            "shape": list(array.shape),
            "sha256": hashlib.sha256(array.tobytes()).hexdigest(),
        }
        for path, array in sorted(named.items())
    ]


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _join(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")


def _system_error(error: ValueError, directory: Path) -> OSError | None:
    """The operating system's error behind one of tensorstore, such as a full disk; None for any other."""
    code = re.search(r"\[os_error_code='(\d+)'", str(error))
    return OSError(int(code[1]), str(error).rpartition(": ")[2], str(directory)) if code else None


def _is_no_traceback(record: logging.LogRecord) -> bool:
    """Drops from Orbax's log the traceback of an error that `save` raises as well."""
    return "_SignalingThread.run() raised" not in record.getMessage()
