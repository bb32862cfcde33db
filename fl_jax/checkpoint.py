"""Checkpoints of a run's whole state after every round, with a digest that is verified on the way back.

Orbax writes atomically but does not notice a flipped bit, and a step that is half deleted still shows in
its list; so a step counts only if it restores and its digest agrees, else the step before it is taken.
"""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

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
        self._read_only = read_only
        self._manager = ocp.CheckpointManager(Path(directory).absolute(), options=options)

    def save(self, step: int, tree: Any, facts: dict[str, Any]) -> None:
        """Saves a pytree of arrays and keys, and facts that JSON can hold, as one step.

        Raises:
            ValueError: when a step as new as this one is there already.
            OSError: the disk is full; the steps before are left as they are.
        """
        self.check_room(tree)
        plain = _plain(tree)
        facts = facts | {"digest": _digest(plain)}
        saved = self._manager.save(
            step,
            args=ocp.args.Composite(
                tree=ocp.args.StandardSave(plain), facts=ocp.args.JsonSave(facts)
            ),
        )
        if not saved:
            raise ValueError(
                f"step={step}: {self._manager.directory} has step {self._manager.latest_step()} "
                "already; restore it and go on from there, or remove the folder"
            )

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
            ValueError: when there are steps and none is sound, or not the one that is asked for.
        """
        steps = sorted(self._manager.all_steps(), reverse=True)
        if step is not None:
            if step not in steps:
                raise ValueError(f"step={step}: {self._manager.directory} holds {steps}")
            steps = [step]
        for index, number in enumerate(steps):
            try:
                tree, facts = self._read(number, like)
            except Exception as error:  # whatever a damaged file makes Orbax raise
                complain(f"checkpoint {number} in {self._manager.directory} is damaged: {error!r}")
                continue
            self._set_aside(steps[:index])
            return number, tree, facts
        if steps:
            raise ValueError(
                f"{self._manager.directory}: none of the checkpoints {steps} can be read; "
                "remove the folder to start afresh"
            )
        return None

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

    def _read(self, step: int, like: Any) -> tuple[Any, dict[str, Any]]:
        restored = self._manager.restore(
            step,
            args=ocp.args.Composite(
                tree=ocp.args.StandardRestore(_plain(like)), facts=ocp.args.JsonRestore()
            ),
        )
        tree, facts = restored["tree"], restored["facts"]
        if _digest(tree) != facts["digest"]:
            raise ValueError("its digest does not agree with its arrays")
        return _keyed(tree, like), facts


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


def _digest(plain: Any) -> str:
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(plain):
        array = np.asarray(leaf)
        digest.update(f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
