"""What sites do wrong, drawn from the run's key: the same strikes in every layout, counted on the host.

A fault strikes a site in a round with probability `share`. What it does then is one of three things:

| it acts on | fields of `Fault` | where |
|---|---|---|
| whether and how long a site trains | `comes`, `steps`, `leaves` | `simulate.rounds` |
| what it learns from | `label` | `simulate.rounds` |
| its message on the way to the server | `sends`, `remembers` | `between`, which every layout goes through |

`fl_jax/faults/` has one file a fault. What the server does about each is in `fl_jax.core.layouts`.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fl_jax.aggregators.messages import per_site
from fl_jax.core import spec
from fl_jax.core.keys import site_key, stream
from fl_jax.core.types import Aggregator, Array, Arrival, Batch


class Fault(NamedTuple):
    """Something that goes wrong at some sites in some rounds.

    Attributes:
        name: what the count of its strikes is called.
        sites: indices of the sites that it may strike.
        share: in [0, 1], the probability that it strikes such a site in a round.
        comes: False where a struck site does not take part.
        steps: in [0, 1], the part of its local steps that a struck site takes.
        leaves: whether it drops out after these steps, or else sends what it has after at least one.
        label: `(labels [..., L]) -> labels`, what a struck site learns from.
        sends: `(memory, arrival, key) -> (memory, arrival)`, what arrives of a struck site's message; runs in
            every round that the site takes part in, since only a site's own rounds can be remembered.
        remembers: `(message) -> memory`, of one site before the first round.
        trusting: the fault is the server's: it takes whatever arrives, see `types.Aggregator`.
    """

    name: str
    sites: tuple[int, ...] = ()
    share: float = 1.0
    comes: bool = True
    steps: float = 1.0
    leaves: bool = False
    label: Callable[[Array], Array] | None = None
    sends: Callable[[Any, Arrival, jax.Array], tuple[Any, Arrival]] | None = None
    remembers: Callable[[Any], Any] = lambda message: ()
    trusting: bool = False


def at(name: str, sites: int | Sequence[int], share: float, **does: Any) -> Fault:
    """Makes a fault of some sites.

    Args:
        name: of the fault.
        sites: their indices, or how many: 2 is (0, 1).
        share: the probability that it strikes such a site in a round.
        **does: further fields.

    Raises:
        ValueError: when `sites` has a negative index or one twice, or `share` is no probability.
    """
    chosen = tuple(range(sites)) if isinstance(sites, int) else tuple(sites)
    negative = sites < 0 if isinstance(sites, int) else min(chosen, default=0) < 0
    if negative or len(set(chosen)) < len(chosen):
        raise ValueError(f"{name}: sites={sites}: give indices from 0, each once, or how many")
    if not 0 <= share <= 1:
        raise ValueError(f"{name}: share={share}: must be a probability, in 0..1")
    return Fault(name, chosen, share, **does)


def build(specs: Sequence[str], sites: int) -> tuple[Fault, ...]:
    """Makes the faults of a federation from specs such as `'nan(sites=(0, 2), share=0.1)'`.

    Args:
        specs: of `fl_jax.faults`, see `spec.build`.
        sites: S.

    Raises:
        ValueError: for a spec that is wrong, or a site that the federation does not have.
    """
    if isinstance(specs, str) or not all(isinstance(text, str) for text in specs):
        raise ValueError(f"faults={specs!r}: give a tuple of specs, such as ('absent(1)',)")
    made = tuple(spec.build(text, "fl_jax.faults") for text in specs)
    for text, fault in zip(specs, made, strict=True):
        if max(fault.sites, default=-1) >= sites:
            raise ValueError(
                f"{text}: sites={fault.sites}: the federation has sites 0..{sites - 1}"
            )
    return made


def strikes(faults: Sequence[Fault], key: jax.Array, round: Array | int, sites: int) -> Array:
    """Draws which fault strikes which site in a round.

    Args:
        faults: F of them; each draws from a stream of its own, named by its place and name.
        key: the run's key.
        round: from 0.
        sites: S.

    Returns:
        bool[F, S].
    """

    def one(site: Array) -> Array:
        own = site_key(key, round, site)
        drawn = [_struck(fault, place, site, own) for place, fault in enumerate(faults)]
        return jnp.array(drawn, bool)

    return jax.vmap(one)(jnp.arange(sites)).T


def _struck(fault: Fault, place: int, site: Array, own: jax.Array) -> Array:
    drawn = jax.random.bernoulli(stream(own, f"fault {place} {fault.name}"), fault.share)
    return drawn & (site == np.array(fault.sites, int)).any()


class Between(NamedTuple):
    """What each fault remembers of each site (leaves [S, ...]), and the aggregator's state."""

    memories: tuple[Any, ...]
    inner: Any


def between(aggregator: Aggregator, faults: Sequence[Fault]) -> Aggregator:
    """Puts the faults that strike messages between the sites and an aggregator.

    Whatever acts between sites is an aggregator: so a fault goes with every algorithm, which cannot know
    of it, and with every layout.

    Args:
        aggregator: what the messages go to.
        faults: all of the federation's, in the order in which they act.

    Returns:
        The aggregator itself where no fault is one of messages or of the server.
    """
    placed = [(place, fault) for place, fault in enumerate(faults) if fault.sends]
    trusting = aggregator.trusting or any(fault.trusting for fault in faults)
    if not placed:
        return aggregator._replace(trusting=trusting)

    def init(message: Any, sites: int) -> Between:
        memories = tuple(per_site(fault.remembers(message), sites) for _, fault in placed)
        return Between(memories, aggregator.init(message, sites))

    def arrive(
        state: Between, site: Array, arrival: Arrival, key: jax.Array
    ) -> tuple[Between, Arrival]:
        memories: list[Any] = []
        for (place, fault), memory in zip(placed, state.memories, strict=True):
            assert fault.sends
            own = jax.tree.map(lambda x: x[site], memory)
            after, spoilt = fault.sends(own, arrival, stream(key, f"spoil {place}"))
            struck = _struck(fault, place, site, key)
            arrival = jax.tree.map(partial(jnp.where, struck), spoilt, arrival)
            memories.append(jax.tree.map(lambda all, one: all.at[site].set(one), memory, after))
        return state._replace(memories=tuple(memories)), arrival

    def add(state: Between, site: Array, message: Any, weight: Array, key: jax.Array) -> Between:
        return state._replace(inner=aggregator.add(state.inner, site, message, weight, key))

    def finish(state: Between) -> tuple[Any, Between]:
        message, inner = aggregator.finish(state.inner)
        return message, state._replace(inner=inner)

    return aggregator._replace(init=init, add=add, finish=finish, arrive=arrive, trusting=trusting)


def steps_taken(fault: Fault, steps: int) -> int:
    """How many of its steps a struck site takes."""
    return int(fault.steps * steps) if fault.leaves else max(1, int(fault.steps * steps))


def present(faults: Sequence[Fault], struck: np.ndarray, planned: np.ndarray) -> np.ndarray:
    """Who of those that were planned comes.

    Args:
        faults: F of them.
        struck: bool[F, S] of `strikes`.
        planned: bool[S].

    Returns:
        bool[S].
    """
    away = [fault_struck for f, fault_struck in zip(faults, struck, strict=True) if not f.comes]
    return planned & ~np.any([np.zeros_like(planned), *away], axis=0)


def relabelled(
    faults: Sequence[Fault], struck: Array, batches: Iterator[Batch] | Any
) -> Iterator[Batch]:
    """A site's batches with the labels that it learns from; `struck` is bool[F], its own."""
    flips = [f.label for f, hit in zip(faults, struck, strict=True) if f.label and hit]
    for batch in batches:
        for flip in flips:
            batch = batch._replace(labels=flip(batch.labels))
        yield batch
