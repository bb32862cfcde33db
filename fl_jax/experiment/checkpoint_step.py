"""One checkpoint on disk: Orbax writes it, tensorstore reads it, and digests verify it.

Orbax alone opens it, too, `ocp.StandardCheckpointer().restore(step / "arrays")`. Its items:

- `arrays`: nested dicts of arrays, by their path in the tree; typed PRNG keys as the integers behind them.
- `facts`, JSON: the caller's, and those of `Facts`.

Guarantees:
    Reading is safe for a checkpoint of unknown origin. Orbax's own metadata is not read, so no class, codec,
    path or shape is taken from it. `facts` declares each array; arrays are stored uncompressed, so the files
    bound what may be declared; links are refused.
"""

import hashlib
import json
import math
import os
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import msgspec
import numpy as np
import orbax.checkpoint as ocp
import tensorstore as ts

from fl_jax.files.structs import read_struct
from fl_jax.files.text import is_name
from fl_jax.workdir.schema import Count, RoundRecord

FORMAT = 6
"""Format of what `write` writes; `read` reads no other."""
OURS = ("format", "arrays", "facts_digest")
"""Facts that `write` adds; `digest` is added as well, and returned to callers."""

Named = dict[str, np.ndarray]
"""Arrays by path, such as `state/server/params/Dense_0/kernel`."""
Layout = dict[str, tuple[tuple[int, ...], np.dtype]]
"""Shape and dtype of each array, by path."""


class OtherFormatError(ValueError):
    """A checkpoint of another version of fl_jax; it is not damaged."""


class Row(msgspec.Struct, frozen=True):
    """The declaration of an array."""

    path: str
    dtype: Annotated[str, msgspec.Meta(pattern="^[a-z0-9_]+$", max_length=32)]
    shape: Annotated[list[Count], msgspec.Meta(max_length=32)]
    sha256: str

    def __post_init__(self) -> None:
        if not is_name(self.path):
            raise ValueError(f"{self.path!r:.100} is no array's path")


class Facts(msgspec.Struct, frozen=True):
    """What a checkpoint says about itself.

    Attributes:
        arrays: their declarations.
        digest: of `arrays`.
        facts_digest: of all other facts.
        best_round: the caller's, as the three that follow; see `rounds.train`.
        best_val_macro_auroc: of the validation patients.
        best_val_loss: of the validation patients.
        record: the last round.
    """

    arrays: list[Row]
    digest: str
    facts_digest: str
    best_round: Count = 0
    best_val_macro_auroc: float | None = None
    best_val_loss: float | None = None
    record: RoundRecord | None = None


def write(folder: Path, tree: Any, facts: dict[str, Any]) -> None:
    """Writes a pytree of arrays and typed keys, with facts that JSON can express; atomic.

    Raises:
        ValueError: two arrays have the same path, or whatever Orbax raises for a failing disk.
    """
    nested, rows = _nested(tree), arrays(tree)
    facts = {name: value for name, value in facts.items() if name not in OURS}
    facts = json.loads(json.dumps(facts))  # as `read` returns it
    facts |= {"format": FORMAT, "arrays": rows, "digest": _digest(rows)}
    facts["facts_digest"] = _digest(facts)
    handler = ocp.CompositeCheckpointHandler(
        arrays=ocp.PyTreeCheckpointHandler(use_compression=False), facts=ocp.JsonCheckpointHandler()
    )
    items = ocp.args.Composite(arrays=ocp.args.PyTreeSave(nested), facts=ocp.args.JsonSave(facts))
    checkpointer = ocp.Checkpointer(handler)
    checkpointer.save(folder, args=items)
    checkpointer.close()


def read(folder: Path, expected: Layout | None = None) -> tuple[Named, dict[str, Any]]:
    """Reads and verifies a checkpoint.

    Args:
        folder: of the step.
        expected: the layout that the checkpoint must have, checked before arrays are read; None accepts any
            that the files have room for.

    Returns:
        The arrays by path, and the facts, with those that `write` adds.

    Raises:
        Exception: whatever a damaged file makes tensorstore raise; ValueError if a digest differs.
        OtherFormatError: another version of fl_jax wrote the step.
    """
    size = _count_bytes(folder)
    facts = read_struct(folder / "facts" / "metadata", dict[str, Any])
    if facts is None:
        raise ValueError("it has no facts")
    if facts.get("format") != FORMAT:
        raise OtherFormatError(
            f"{folder.parent}: step {folder.name} has format {facts.get('format')!r:.20}, and this version "
            f"of fl_jax reads format {FORMAT}: use the version that wrote it, or remove the folder"
        )
    declared = msgspec.convert(facts, Facts)
    if _digest({k: v for k, v in facts.items() if k != "facts_digest"}) != declared.facts_digest:
        raise ValueError("its facts have changed since they were saved")
    layout = {row.path: (tuple(row.shape), _dtype(row.dtype)) for row in declared.arrays}
    if expected is not None:
        wrong = [path for path in expected | layout if expected.get(path) != layout.get(path)]
        if wrong:
            raise ValueError(f"not the arrays that this run has: {', '.join(wrong)}")
    needed = sum(math.prod(shape) * dtype.itemsize for shape, dtype in layout.values())
    if needed > size:
        raise ValueError(f"it declares {needed} bytes of arrays, and its files have {size}")
    named = _read_arrays(folder, layout)
    rows = {row["path"]: row for row in facts["arrays"]}
    changed = [row["path"] for row in _table(named) if rows[row["path"]] != row]
    if changed:
        raise ValueError(f"changed since they were saved: {', '.join(changed)}")
    return named, facts


def layout_of(tree: Any) -> Layout:
    """The layout of a pytree of arrays, typed keys, or shapes without keys."""
    leaves = jax.tree_util.tree_leaves_with_path(untyped(tree))
    return {_join(path): (tuple(leaf.shape), np.dtype(leaf.dtype)) for path, leaf in leaves}


def shaped(named: Named, like: Any) -> Any:
    """A tree of the structure of `like`, each array on the devices of its example."""
    leaves, structure = jax.tree_util.tree_flatten_with_path(untyped(like))
    plain = structure.unflatten(_placed(named[_join(path)], leaf) for path, leaf in leaves)
    return jax.tree.map(_typed, plain, like)


def arrays(tree: Any) -> list[dict[str, Any]]:
    """Path, dtype, shape and SHA-256 of every array of a tree, sorted by path."""
    leaves = jax.tree_util.tree_leaves_with_path(untyped(tree))
    return _table({_join(path): np.asarray(leaf) for path, leaf in leaves})


def untyped(tree: Any) -> Any:
    """The tree with typed keys as the integers behind them."""
    return jax.tree.map(lambda x: jax.random.key_data(x) if _is_key(x) else x, tree)


def _count_bytes(folder: Path) -> int:
    """The size of all files of a step; refuses links and other special files."""
    total = 0
    for entry in list(os.scandir(folder)):
        if entry.is_dir(follow_symlinks=False):
            total += _count_bytes(Path(entry.path))
        elif entry.is_file(follow_symlinks=False):
            total += entry.stat(follow_symlinks=False).st_size
        else:
            raise ValueError(f"{entry.path}: is a link or a special file")
    return total


def _read_arrays(folder: Path, layout: Layout) -> Named:
    base = {"driver": "file", "path": f"{folder / 'arrays'}/"}
    fixed = {"driver": "zarr", "fill_missing_data_reads": False}
    fixed["metadata"] = {"compressor": None, "filters": None, "order": "C"}
    opened = {
        path: ts.open(
            fixed | {"kvstore": {"driver": "ocdbt", "base": base, "path": _key(path) + "/"}},
            open=True,
            read=True,
            dtype=ts.dtype(dtype),
            shape=shape,
        )
        for path, (shape, dtype) in layout.items()
        if math.prod(shape)
    }
    pending = {path: store.result().read() for path, store in opened.items()}
    empty = {
        path: np.zeros(shape, dtype)
        for path, (shape, dtype) in layout.items()
        if not math.prod(shape)
    }
    return empty | {path: np.asarray(array.result()) for path, array in pending.items()}


def _nested(tree: Any) -> dict[str, Any]:
    """The arrays in nested dicts; Orbax refuses arrays without elements, which are left out."""
    nested: dict[str, Any] = {}
    leaves = jax.tree_util.tree_leaves_with_path(untyped(tree))
    names = {_key(_join(path)) for path, _ in leaves}
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
        for part in folders:
            place = place.setdefault(part, {})
        place[name] = np.asarray(leaf)
    return nested


def _key(path: str) -> str:
    """The name that Orbax gives an array."""
    return path.replace("/", ".")


def _placed(array: np.ndarray, like: Any) -> Any:
    if not isinstance(like, jax.Array):
        return array
    return jax.device_put(array, like.sharding) if like.committed else jnp.array(array)


def _typed(leaf: Any, example: Any) -> Any:
    if not _is_key(example):
        return leaf
    return jax.random.wrap_key_data(leaf, impl=jax.random.key_impl(example))


def _is_key(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _dtype(name: str) -> np.dtype:
    dtype = jnp.dtype(name)
    if not (jnp.issubdtype(dtype, jnp.number) or dtype == np.bool_):
        raise ValueError(f"it declares an array of {name}")
    return dtype


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
