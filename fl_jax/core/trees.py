"""Pytree helpers: stacking over sites, selection, and checks of structure and finiteness."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fl_jax.core.types import Array


def per_site(tree: Any, sites: int) -> Any:
    """Repeats every leaf along a new leading axis S."""
    return jax.tree.map(lambda x: jnp.broadcast_to(x, (sites, *jnp.shape(x))), tree)


def take(stacked: Any, site: Array | int) -> Any:
    """One site's slice of a tree whose leaves have a leading axis S."""
    return jax.tree.map(lambda x: x[site], stacked)


def put(stacked: Any, site: Array | int, value: Any) -> Any:
    """Sets one site's slice of a tree whose leaves have a leading axis S."""
    return jax.tree.map(lambda all_sites, one: all_sites.at[site].set(one), stacked, value)


def where(condition: Array | np.bool_, yes: Any, no: Any) -> Any:
    """`jnp.where` on every leaf."""
    return jax.tree.map(partial(jnp.where, condition), yes, no)


def copy(tree: Any) -> Any:
    """Copies every leaf: jit may return its input buffers, and donating those would free the original."""
    return jax.tree.map(jnp.copy, tree)


def platform(tree: Any) -> str:
    """The platform of the devices that keep a tree, as `jax.jit` runs on it: `cpu`, `gpu` or `tpu`.

    NumPy arrays go to the default device.
    """
    leaves = [leaf for leaf in jax.tree.leaves(tree) if isinstance(leaf, jax.Array)]
    return next(iter((leaves[0] if leaves else jnp.zeros(())).devices())).platform


def all_finite(tree: Any) -> Array:
    """bool[], whether no floating-point leaf contains a NaN or an infinity."""
    leaves = [x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.inexact)]
    return jnp.array([jnp.isfinite(leaf).all() for leaf in leaves]).all()


def conforms(tree: Any, like: Any) -> bool:
    """Whether a tree has the structure, shapes and dtypes of another.

    Args:
        tree: a pytree of arrays, such as a received message.
        like: arrays, or `jax.ShapeDtypeStruct`s.
    """
    if jax.tree.structure(tree) != jax.tree.structure(like):
        return False
    pairs = zip(jax.tree.leaves(tree), jax.tree.leaves(like), strict=True)
    return all(jnp.shape(a) == jnp.shape(b) and a.dtype == b.dtype for a, b in pairs)
