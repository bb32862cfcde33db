"""A checkpoint's arrays by path, and as one file `arrays.npz`: a handler of Orbax.

Orbax's own handlers of arrays go through tensorstore, which keeps every piece of JSON that it turns into
Python objects (0.1.86, and as far back as 0.1.76; `tensorstore.Spec.to_json` in a loop shows it): some 25 to
30 KiB a save of 13 arrays, without end in a run that saves after every round.
"""

import dataclasses
import hashlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

from fl_jax.files.atomic import named

FILE = "arrays.npz"


class Handler(ocp.CheckpointHandler):
    """Writes and reads `FILE` in a folder that Orbax makes, renames when all is in it, and deletes."""

    def save(self, directory: Any, args: "Save") -> None:
        """Writes the arrays, uncompressed; with a checksum of each, which `restore` verifies."""
        with named(directory / FILE), open(directory / FILE, "wb") as file:
            np.savez(file, allow_pickle=False, **{_PREFIX + k: v for k, v in args.arrays.items()})

    def restore(self, directory: Any, args: "Restore") -> dict[str, np.ndarray]:
        """Reads the arrays; those of a dtype that NumPy's format has no name for come as raw bytes.

        Raises:
            Exception: whatever a damaged file makes NumPy raise.
        """
        with np.load(directory / FILE, allow_pickle=False) as file:
            return {name.removeprefix(_PREFIX): file[name] for name in file.files}


@ocp.args.register_with_handler(Handler, for_save=True)
@dataclasses.dataclass
class Save(ocp.args.CheckpointArgs):
    """What to save: arrays by path, `server/params/Dense_0/kernel`."""

    arrays: dict[str, np.ndarray]


@ocp.args.register_with_handler(Handler, for_restore=True)
@dataclasses.dataclass
class Restore(ocp.args.CheckpointArgs):
    """Asks for the arrays back."""


_PREFIX = "state/"  # no path is then the name of an argument of `numpy.savez`


def by_path(tree: Any) -> dict[str, np.ndarray]:
    """A tree's arrays, none of them typed keys, on the host.

    Raises:
        ValueError: when two arrays have one path.
    """
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    named = {_name(path): np.asarray(leaf) for path, leaf in leaves}
    if len(named) < len(leaves):
        raise ValueError(
            f"the tree's {len(leaves)} arrays have {len(named)} paths: a name holds a '/'"
        )
    return named


def table(named: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    """Path, dtype, shape and SHA-256 of the bytes of every array, sorted by path."""
    return [
        {
            "path": path,
            "dtype": str(array.dtype),
            "shape": list(array.shape),
            "sha256": hashlib.sha256(array.tobytes()).hexdigest(),
        }
        for path, array in sorted(named.items())
    ]


def typed(named: dict[str, np.ndarray], rows: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """Raw bytes, as of bfloat16, with the dtype that they have in the `table`."""
    dtypes = {row["path"]: row["dtype"] for row in rows}
    return {
        path: array.view(jnp.dtype(dtypes[path])) if array.dtype.kind == "V" else array
        for path, array in named.items()
    }


def shaped(named: dict[str, np.ndarray], like: Any) -> Any:
    """A tree of the structure of `like`, each array on the devices that its example is on.

    Raises:
        ValueError: when paths, shapes or dtypes are others.
    """
    leaves, structure = jax.tree_util.tree_flatten_with_path(like)
    wanted = {_name(path): (leaf.shape, leaf.dtype) for path, leaf in leaves}
    found = {path: (array.shape, array.dtype) for path, array in named.items()}
    wrong = [path for path in wanted | found if wanted.get(path) != found.get(path)]
    if wrong:
        raise ValueError(f"not the arrays that this run has: {', '.join(wrong)}")
    return structure.unflatten(_placed(named[_name(path)], leaf) for path, leaf in leaves)


def _placed(array: np.ndarray, like: Any) -> Any:
    if not isinstance(like, jax.Array):
        return array
    return jax.device_put(array, like.sharding) if like.committed else jnp.array(array)


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")
