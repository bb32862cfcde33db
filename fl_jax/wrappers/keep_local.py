"""Keeps some layers at the sites: each site trains its own copy, which never leaves it.

site s:  train (shared, local_s);  send the update of `shared`;  keep local_s
server:  aggregates `shared` only
"""

import re
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fl_jax.core.trees import all_finite
from fl_jax.core.types import Algorithm, Array, Client, Params, Report


class SiteState(NamedTuple):
    """A site's local leaves, and the wrapped algorithm's site state."""

    local: Params
    base: Any


def keep_local(algorithm: Algorithm, pattern: str) -> Algorithm:
    """Wraps an algorithm so that leaves whose name matches `pattern` stay at the sites.

    Guarantees: neither the broadcast nor a message contains a local leaf. A site whose local leaves become
    NaN or infinite is refused, like a site that sends such a message.

    Args:
        algorithm: its broadcast must be the parameters, its message must have the parameters' structure.
        pattern: see `split`.

    Returns:
        The algorithm. `personal` joins the server's shared leaves with the site's local ones. The server's
        `params` contain the initial values of the local leaves: a joining site starts from them, but
        they are not meant for inference. `init_server` and `init_site` raise ValueError when `pattern`
        matches no leaf of the model, or all of them.

    Raises:
        ValueError: when `pattern` is not a regular expression, or the algorithm has a first exchange.
    """
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"local={pattern!r}: not a regular expression: {error}") from error

    if algorithm.first is not None:
        raise ValueError("keep_local: an algorithm with a first exchange cannot keep layers local")

    def init_server(params: Params) -> Any:
        return algorithm.init_server(split(params, pattern)[0])._replace(params=params)

    def init_site(params: Params) -> SiteState:
        return SiteState(split(params, pattern)[1], algorithm.init_site(params))

    def broadcast(server: Any) -> Params:
        return split(server.params, pattern)[0]

    def start(shared: Params, site: SiteState, key: jax.Array) -> Any:
        return algorithm.client.start(merge(shared, site.local), site.base, key)

    def finish(shared: Params, site: SiteState, local: Any) -> tuple[Report, SiteState]:
        report, base = algorithm.client.finish(merge(shared, site.local), site.base, local)
        kept = split(local.params, pattern)[1]
        weight = jnp.where(all_finite(kept), report.weight, jnp.nan)
        message = split(report.message, pattern)[0]
        return report._replace(message=message, weight=weight), SiteState(kept, base)

    def server(state: Any, message: Params, fraction: Array) -> Any:
        shared, initial = split(state.params, pattern)
        new = algorithm.server(state._replace(params=shared), message, fraction)
        return new._replace(params=merge(new.params, initial))

    def personal(server: Any, site: SiteState) -> Params:
        return merge(split(server.params, pattern)[0], site.local)

    client = Client(start, algorithm.client.step, finish)
    return Algorithm(init_server, init_site, broadcast, client, server, personal)


def split(params: Params, pattern: str) -> tuple[Params, Params]:
    """Splits a model into shared and local leaves.

    Args:
        params: a pytree like the model.
        pattern: a regular expression, searched for in each leaf's name, such as `Block_0/GroupNorm_0/scale`;
            matching leaves are local.

    Returns:
        (shared, local): each has the structure of `params`, with None in place of the other's leaves.

    Raises:
        ValueError: when the pattern matches no leaf, or all of them.
    """
    names = [
        jax.tree_util.keystr(path, simple=True, separator="/")
        for path, _ in jax.tree.leaves_with_path(params)
    ]
    is_local = [re.search(pattern, name) is not None for name in names]
    if all(is_local) or not any(is_local):
        raise ValueError(
            f"local={pattern!r}: matches {'all' if any(is_local) else 'none'} of the model's leaves; it "
            f"must match some and leave others to share. The leaves: {', '.join(names)}"
        )
    leaves, structure = jax.tree.flatten(params)
    pairs = [(None, x) if stays else (x, None) for x, stays in zip(leaves, is_local, strict=True)]
    shared, local = zip(*pairs, strict=True)
    return structure.unflatten(shared), structure.unflatten(local)


def merge(shared: Params, local: Params) -> Params:
    """The inverse of `split`."""
    return jax.tree.map(
        lambda a, b: b if a is None else a, shared, local, is_leaf=lambda x: x is None
    )
