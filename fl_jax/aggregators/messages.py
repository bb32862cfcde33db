"""What aggregators share: a round's messages side by side, and codecs in front of another aggregator.

Rules that see all messages at once keep S of them. A message of weight zero (an empty site) has no say in
them: it counts as absent.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from fl_jax.aggregators.weighted_mean import weighted_mean
from fl_jax.core.keys import stream
from fl_jax.core.trees import per_site
from fl_jax.core.types import Aggregator, Array


class Messages(NamedTuple):
    """The messages of one round.

    Attributes:
        message: every leaf has a leading axis S; zero where the site is absent.
        weight: float32[S], zero where the site is absent.
    """

    message: Any
    weight: jax.Array

    @property
    def present(self) -> jax.Array:
        """bool[S], which sites have a message; how many is known only when the code runs."""
        return self.weight > 0


def empty(message: Any, sites: int) -> Messages:
    """Makes room for the messages of `sites` sites, shaped like `message`."""
    return Messages(per_site(optax.tree.zeros_like(message), sites), jnp.zeros(sites))


def put(messages: Messages, site: Array, message: Any, weight: Array) -> Messages:
    """Writes one site's message, whatever the order in which sites come."""
    written = jax.tree.map(lambda all, one: all.at[site].set(one), messages.message, message)
    return Messages(written, messages.weight.at[site].set(weight))


def gather(
    rule: Callable[[Messages], Any],
    *,
    sites: int = 1,
    present: int = 1,
    setting: str = "",
) -> Aggregator:
    """Makes an aggregator that keeps a round's messages and closes it with a rule.

    Args:
        rule: `(messages) -> message`, symmetric in the sites, so that their order does not matter.
        sites: the least S that the rule's setting makes sense for.
        present: with fewer sites present the aggregate is zero: the server's model stays.
        setting: the arguments that ask for so many sites, for the error.

    Returns:
        The aggregator; its `init` raises ValueError for fewer than `sites` sites.
    """

    def init(message: Any, federation: int) -> Messages:
        if federation < sites:
            raise ValueError(
                f"{setting}: needs at least {sites} sites, the federation has {federation}; lower it"
            )
        return empty(message, federation)

    def add(state: Messages, site: Array, message: Any, weight: Array, key: jax.Array) -> Messages:
        del key
        return put(state, site, message, weight)

    def finish(state: Messages) -> tuple[Any, Messages]:
        enough = state.present.sum() >= present
        aggregate = jax.tree.map(lambda x: jnp.where(enough, x, 0), rule(state))
        return aggregate, optax.tree.zeros_like(state)

    return Aggregator(init, add, finish)


def ordered(leaf: Array, present: Array) -> Array:
    """Sorts a leaf [S, ...] coordinate by coordinate; absent sites come last, as +inf."""
    return jnp.sort(jnp.where(column(present, leaf), leaf, jnp.inf), axis=0)


def combine(message: Any, share: Array) -> Any:
    """Returns `sum_s share[s] message[s]`, leaf by leaf; share is float32[S]."""
    # A product, because XLA:CPU sums over a leading axis some hundred times slower.
    return jax.tree.map(lambda leaf: jnp.tensordot(share, leaf, 1, precision="highest"), message)


def squared_distances(message: Any, center: Any) -> Array:
    """Returns float32[S], the squared Euclidean distance of each message from one, over all leaves.

    From differences, not from inner products, so that a common offset costs no digits.
    """
    squares = jax.tree.map(
        lambda all, one: ((all - one) ** 2).reshape(len(all), -1).sum(1), message, center
    )
    return sum(jax.tree.leaves(squares), jnp.zeros(()))


def column(values: Array, leaf: Array) -> Array:
    """Shapes [S] values so that they broadcast along a leaf [S, ...]."""
    return values.reshape(-1, *(1,) * (leaf.ndim - 1))


def code(
    codec: Callable[[Array, jax.Array], Array],
    bits: Callable[[int], int],
    aggregate: Aggregator | None,
) -> Aggregator:
    """Makes an aggregator whose messages pass through a codec, array by array.

    Args:
        codec: `(array, key) -> array`, what is read after sending it.
        bits: `(size) -> int`, of an array of so many values.
        aggregate: takes what is read, see `inner`.
    """
    after = inner(aggregate, compresses=True)

    def add(state: Any, site: Array, message: Any, weight: Array, key: jax.Array) -> Any:
        leaves, structure = jax.tree.flatten(message)
        keys = jax.random.split(stream(key, "codec"), len(leaves))
        read = jax.tree.unflatten(structure, map(codec, leaves, keys))
        return after.add(state, site, read, weight, key)

    return after._replace(add=add, payload=payload(bits))


def payload(bits: Callable[[int], int]) -> Callable[[Any], int]:
    """Counts the bytes of a message whose arrays take `bits(size)` each, in whole bytes."""
    return lambda message: sum(-(-bits(leaf.size) // 8) for leaf in jax.tree.leaves(message))


def inner(aggregate: Aggregator | None, *, compresses: bool) -> Aggregator:
    """Returns what a wrapper hands its messages to: `weighted_mean()` when None.

    Args:
        aggregate: what the user gave.
        compresses: whether the wrapper changes what a site sends; then the inner part must not.

    Raises:
        ValueError: when it is no aggregator, or compresses what is compressed already.
    """
    if aggregate is None:
        return weighted_mean()
    if not isinstance(aggregate, Aggregator):
        raise ValueError(f"aggregate={aggregate!r}: must be an aggregator, such as median()")
    if compresses and aggregate.payload is not None:
        raise ValueError(
            f"aggregate={aggregate!r}: has a wire format of its own, and a message has one; "
            "give an aggregator that takes plain arrays, such as median()"
        )
    return aggregate
