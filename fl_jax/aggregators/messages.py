"""Rules that see all messages of a round at once, and the array operations that they share.

These aggregators keep S messages. A message of weight zero, from a site without examples, counts as absent.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from fl_jax.core.trees import per_site, put
from fl_jax.core.types import Aggregator, Array


class Messages(NamedTuple):
    """The messages of one round.

    Attributes:
        message: a pytree with leaves [S, ...]; zero for absent sites.
        weight: float32[S]; zero for absent sites.
    """

    message: Any
    weight: jax.Array

    @property
    def present(self) -> jax.Array:
        """bool[S], which sites sent a message. Their number is a traced value."""
        return self.weight > 0


def empty_messages(message: Any, sites: int) -> Messages:
    """Allocates the messages of S sites, shaped like `message`."""
    return Messages(per_site(optax.tree.zeros_like(message), sites), jnp.zeros(sites))


def store(messages: Messages, site: Array, message: Any, weight: Array) -> Messages:
    """Stores one site's message; sites may come in any order."""
    return Messages(*put((messages.message, messages.weight), site, (message, weight)))


def aggregate_by(
    rule: Callable[[Messages], Any], *, sites: int = 1, present: int = 1, setting: str = ""
) -> Aggregator:
    """Makes an aggregator that stores a round's messages and applies a rule to all of them.

    Args:
        rule: `(messages) -> aggregate`, symmetric in the sites.
        sites: the smallest S for which the rule's arguments make sense.
        present: with fewer sites present the aggregate is zero, and the server's model stays.
        setting: the arguments that need so many sites, for the error.

    Returns:
        The aggregator; its `init` raises ValueError for fewer than `sites` sites.
    """

    def init(message: Any, federation: int) -> Messages:
        if federation < sites:
            raise ValueError(
                f"{setting}: needs at least {sites} sites, the federation has {federation}; lower it"
            )
        return empty_messages(message, federation)

    def add(state: Messages, site: Array, message: Any, weight: Array, key: jax.Array) -> Messages:
        del key
        return store(state, site, message, weight)

    def finish(state: Messages) -> tuple[Any, Messages]:
        enough = state.present.sum() >= present
        aggregate = jax.tree.map(lambda x: jnp.where(enough, x, 0), rule(state))
        return aggregate, optax.tree.zeros_like(state)

    return Aggregator(init, add, finish)


def sort_sites(leaf: Array, present: Array) -> Array:
    """Sorts a leaf [S, ...] along S in every coordinate; absent sites come last, as +inf."""
    return jnp.sort(jnp.where(expand(present, leaf), leaf, jnp.inf), axis=0)


def weighted_sum(message: Any, weights: Array) -> Any:
    """Computes `sum_s weights[s] message[s]` for every leaf; weights are float32[S]."""
    # A matrix product, because XLA:CPU sums over a leading axis about a hundred times slower.
    return jax.tree.map(lambda leaf: jnp.tensordot(weights, leaf, 1, precision="highest"), message)


def squared_distances(message: Any, center: Any) -> Array:
    """Computes the squared Euclidean distance of each message from `center`, over all leaves: float32[S].

    From differences, not from inner products, so that a common offset costs no precision.
    """
    squares = jax.tree.map(
        lambda stack, one: ((stack - one) ** 2).reshape(len(stack), -1).sum(1), message, center
    )
    return sum(jax.tree.leaves(squares), jnp.zeros(()))


def expand(values: Array, leaf: Array) -> Array:
    """Reshapes [S] values so that they broadcast with a leaf [S, ...]."""
    return values.reshape(-1, *(1,) * (leaf.ndim - 1))
