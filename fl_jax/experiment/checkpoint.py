"""Checkpoints of a run's whole state after every round, with a digest that is verified on the way back.

Orbax writes atomically but does not notice a flipped bit, and a step that is half deleted still shows in
its list, or no longer does; so a step counts only if it restores and its digests agree, else the step before
it is taken. Nor does it wait until the disk has what it renames; `Store.save` does, so that a power cut
costs at most the step under way.

A step holds `arrays`, see `fl_jax.experiment.checkpoint_arrays`, and `facts`, JSON: what the caller gave,
and of this module
`format`; `arrays`, the path, dtype, shape and SHA-256 of each array, by which a step can be read and
verified without its structure; `digest` of them all, and `facts_digest`. In format 2 Orbax kept the arrays,
as `tree`; so in format 1, which has no `format` and only a `digest` that takes the structure to verify.
"""

import hashlib
import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

from fl_jax.experiment.checkpoint_arrays import Restore, Save, by_path, shaped, table, typed
from fl_jax.files.atomic import sync

FORMAT = 3
"""Of what `Store.save` writes; older ones are read too."""
_OURS = ("format", "arrays", "facts_digest")
_BESIDE = 2**20
"""Bytes that a step takes beside its arrays, with some to spare."""


class Store:
    """The checkpoints of one run in one directory; only the newest ones are kept."""

    def __init__(self, directory: str | Path, *, keep: int = 2, read_only: bool = False) -> None:
        """Opens or creates the directory.

        Args:
            directory: where the steps are, one folder each.
            keep: how many of the newest steps to keep, at least 1.
            read_only: change nothing in the directory, which must exist.
        """
        options = ocp.CheckpointManagerOptions(
            max_to_keep=None if read_only else keep,
            enable_async_checkpointing=False,
            create=not read_only,
            read_only=read_only,
        )
        self._read_only, self._keep = read_only, keep
        self._manager = ocp.CheckpointManager(Path(directory).absolute(), options=options)

    def save(self, step: int, tree: Any, facts: dict[str, Any]) -> None:
        """Saves a pytree of arrays and keys, and facts that JSON can hold, as one step.

        Raises:
            ValueError: when a step as new as this one is there already, or two arrays have one path.
            OSError: the disk is full; the steps before are left as they are.
        """
        self.check_room(tree)
        named = by_path(_plain(tree))
        rows = table(named)
        facts = {name: value for name, value in facts.items() if name not in _OURS}
        facts = json.loads(json.dumps(facts))  # as it will be read
        facts |= {"format": FORMAT, "arrays": rows, "digest": _sum_of(rows)}
        facts["facts_digest"] = _sum_of(facts)
        args = ocp.args.Composite(arrays=Save(named), facts=ocp.args.JsonSave(facts))
        log = logging.getLogger("absl")
        log.addFilter(_is_news)
        try:
            saved = self._manager.save(step, args=args)
        finally:
            log.removeFilter(_is_news)
        if not saved:
            raise ValueError(
                f"step={step}: {self._manager.directory} has step {self._manager.latest_step()} "
                "already; restore it and go on from there, or remove the folder"
            )
        folder = Path(self._manager.directory) / str(step)
        for path in (*folder.rglob("*"), folder, folder.parent):
            sync(path)
        self._remove(self.steps()[self._keep :])

    def check_room(self, tree: Any) -> None:
        """Refuses a tree that the disk has no room for.

        Raises:
            OSError: says what is free and what is needed.
        """
        needed = sum(leaf.nbytes for leaf in jax.tree.leaves(_plain(tree))) + _BESIDE
        free = shutil.disk_usage(self._manager.directory).free
        if free < needed:
            raise OSError(
                f"{self._manager.directory}: {free / 2**20:.1f} MiB are free and a checkpoint needs "
                f"{needed / 2**20:.1f} MiB; the steps before are kept. Make room, and run this again"
            )

    def restore(
        self, like: Any, *, step: int | None = None, complain: Callable[[str], None]
    ) -> tuple[int, Any, dict[str, Any]] | None:
        """Restores the newest sound step; damaged newer ones become `damaged_<step>`, out of the way.

        Args:
            like: a pytree of the same structure, shapes and dtypes.
            step: this one and no other; None takes the newest that is sound.
            complain: called with a sentence for every step that is passed over.

        Returns:
            Step, tree and facts, or None when there is no step at all.

        Raises:
            ValueError: when there are steps and none is sound, or not the one that is asked for; or when they
                are of a newer version of the project.
        """
        steps = self.steps()
        if step is not None:
            if step not in steps:
                raise ValueError(f"step={step}: {self._manager.directory} holds {steps}")
            steps = [step]
        for index, number in enumerate(steps):
            try:
                tree, facts = self._read(number, like)
            except NewerFormatError:
                raise
            except Exception as error:  # whatever a damaged file makes Orbax raise
                complain(f"checkpoint {number} in {self._manager.directory} is damaged: {error!r}")
                continue
            self._set_aside(steps[:index])
            self._remove(steps[index + self._keep :])
            return number, tree, facts
        if steps:
            raise ValueError(
                f"{self._manager.directory}: none of the checkpoints {steps} can be read; "
                "remove the folder to start afresh"
            )
        return None

    def steps(self) -> list[int]:
        """The steps that are there, damaged or not, newest first."""
        found = (path.name for path in Path(self._manager.directory).iterdir() if path.is_dir())
        return sorted((int(name) for name in found if name.isdecimal()), reverse=True)

    def read(self, step: int) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Reads a step without knowing its structure, and verifies it as far as its format allows.

        Returns:
            The arrays by path, `0/server/params/Dense_0/kernel`, and the facts, those of this module too:
            without `format` nothing was verified.

        Raises:
            Exception: whatever a damaged file makes Orbax raise; ValueError when digests do not agree.
        """
        tree, facts = self._restore(step, None)
        if "format" in facts:
            _verify(tree, facts)
        return by_path(tree), facts

    def close(self) -> None:
        """Waits for what is under way and lets go of the directory."""
        self._manager.close()

    def _set_aside(self, damaged: list[int]) -> None:
        """Renames steps, because Orbax saves none that is as old as one it knows."""
        if self._read_only:
            return
        for step in damaged:
            folder = Path(self._manager.directory)
            shutil.rmtree(folder / f"damaged_{step}", ignore_errors=True)
            (folder / str(step)).rename(folder / f"damaged_{step}")
        self._manager.reload()

    def _remove(self, old: list[int]) -> None:
        """Ends the deletion of steps that was cut off; where their metadata is gone Orbax never would."""
        if self._read_only or not old:
            return
        for step in old:
            shutil.rmtree(Path(self._manager.directory) / str(step))
        self._manager.reload()

    def _read(self, step: int, like: Any) -> tuple[Any, dict[str, Any]]:
        tree, facts = self._restore(step, _plain(like))
        _verify(tree, facts)
        return _keyed(tree, like), {k: v for k, v in facts.items() if k not in _OURS}

    def _restore(self, step: int, like: Any) -> tuple[Any, dict[str, Any]]:
        facts = self._part(step, "facts", ocp.args.JsonRestore())
        found = facts.get("format", 1)
        if isinstance(found, int) and found > FORMAT:
            raise NewerFormatError(
                f"{self._manager.directory}: step {step} has format {found}, and this version of fl_jax "
                f"reads formats up to {FORMAT}: use a newer version"
            )
        if found in (1, 2):
            return self._part(step, "tree", ocp.args.StandardRestore(like)), facts
        named = typed(self._part(step, "arrays", Restore()), facts["arrays"])
        return (named if like is None else shaped(named, like)), facts

    def _part(self, step: int, name: str, how: Any) -> Any:
        return self._manager.restore(step, args=ocp.args.Composite(**{name: how}))[name]


class NewerFormatError(ValueError):
    """A checkpoint that a newer version of the project wrote; it is not damaged."""


def arrays(tree: Any) -> list[dict[str, Any]]:
    """Path, dtype, shape and SHA-256 of the bytes of every array of a tree, sorted by path."""
    return table(by_path(_plain(tree)))


def _verify(tree: Any, facts: dict[str, Any]) -> None:
    """Raises ValueError when the arrays or the facts are not those that were saved."""
    if "format" not in facts:
        if _digest_of_format_1(tree) != facts["digest"]:
            raise ValueError("its digest does not agree with its arrays")
        return
    if _sum_of({k: v for k, v in facts.items() if k != "facts_digest"}) != facts["facts_digest"]:
        raise ValueError("its facts are not those that were saved")
    saved = {row["path"]: row for row in facts["arrays"]}
    wrong = [row["path"] for row in arrays(tree) if saved.pop(row["path"], None) != row]
    if wrong or saved:
        raise ValueError(f"not as they were saved: {', '.join([*wrong, *saved])}")


def _sum_of(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _plain(tree: Any) -> Any:
    """Turns typed keys into the integers behind them, which is what files can hold."""
    return jax.tree.map(lambda x: jax.random.key_data(x) if _is_key(x) else x, tree)


def _keyed(plain: Any, like: Any) -> Any:
    def wrap(leaf: Any, example: Any) -> Any:
        if not _is_key(example):
            return leaf
        return jax.random.wrap_key_data(leaf, impl=jax.random.key_impl(example))

    return jax.tree.map(wrap, plain, like)


def _is_key(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _digest_of_format_1(plain: Any) -> str:
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(plain):
        array = np.asarray(leaf)
        digest.update(f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _is_news(record: logging.LogRecord) -> bool:
    """Leaves out of Orbax's log the traceback of what `save` raises, too."""
    return "_SignalingThread.run() raised" not in record.getMessage()
