"""The type of a fault, and the draw of which sites it strikes."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fl_jax.core import spec
from fl_jax.core.keys import site_key, stream
from fl_jax.core.types import Array


class Arrival(NamedTuple):
    """A site's message as it arrives at the server; without faults, as the site sent it.

    Attributes:
        message: a pytree with the shapes and dtypes that the site sent.
        weight: float32[].
        readable: bool[], False for a wrong structure, shape or dtype. Shapes are fixed inside a compiled
            round, so this flag stands in for such a message.
        age: int32[], rounds since the message was computed; 0 for the current round.
        copies: int32[], how often the message arrived.
    """

    message: Any
    weight: Array
    readable: Array
    age: Array
    copies: Array


class Fault(NamedTuple):
    """Something that goes wrong at some sites in some rounds.

    Attributes:
        name: for the log.
        sites: indices of the sites that it may strike.
        share: in [0, 1], the probability that it strikes such a site in a round.
        absent: whether a struck site does not participate.
        steps: in [0, 1], the fraction of its local steps that a struck site takes.
        drops_out: whether a struck site leaves after these steps. Otherwise it sends the result of at least
            one.
        relabel: `(labels [..., L]) -> labels` that a struck site trains on.
        transmit: `(memory, arrival, key) -> (memory, arrival)`, changes a struck site's message. Runs in
            every round in which the site participates, to update the memory.
        init_memory: `(message) -> memory` of one site.
        trusting: the fault is the server's: it accepts every readable message, finite or not, of any age, and
            adds each copy.
    """

    name: str
    sites: tuple[int, ...] = ()
    share: float = 1.0
    absent: bool = False
    steps: float = 1.0
    drops_out: bool = False
    relabel: Callable[[Array], Array] | None = None
    transmit: Callable[[Any, Arrival, jax.Array], tuple[Any, Arrival]] | None = None
    init_memory: Callable[[Any], Any] = lambda message: ()
    trusting: bool = False


def at_sites(name: str, sites: int | Sequence[int], share: float, **fields: Any) -> Fault:
    """Makes a fault of some sites.

    Args:
        name: of the fault.
        sites: their indices, or their number: 2 means (0, 1).
        share: the probability that it strikes such a site in a round.
        **fields: further fields of `Fault`.

    Raises:
        ValueError: for a negative or repeated index, or when `share` is not a probability.
    """
    chosen = tuple(range(sites)) if isinstance(sites, int) else tuple(sites)
    negative = sites < 0 if isinstance(sites, int) else min(chosen, default=0) < 0
    if negative or len(set(chosen)) < len(chosen):
        raise ValueError(
            f"{name}: sites={sites}: give distinct indices from 0, or a number of sites"
        )
    if not 0 <= share <= 1:
        raise ValueError(f"{name}: share={share}: must be a probability in 0..1")
    return Fault(name, chosen, share, **fields)


def build_faults(specs: Sequence[str], sites: int) -> tuple[Fault, ...]:
    """Makes faults from specs such as `'not_finite(sites=(0, 2), share=0.1)'`.

    Args:
        specs: calls of `fl_jax.faults`, see `spec.build`.
        sites: S.

    Raises:
        ValueError: for an invalid spec, or a site that the federation does not have.
    """
    if isinstance(specs, str) or not all(isinstance(text, str) for text in specs):
        raise ValueError(f"faults={specs!r}: give a tuple of specs, such as ('absent(1)',)")
    faults = tuple(spec.build(text, "fl_jax.faults") for text in specs)
    for text, fault in zip(specs, faults, strict=True):
        if max(fault.sites, default=-1) >= sites:
            raise ValueError(
                f"{text}: sites={fault.sites}: the federation has sites 0..{sites - 1}"
            )
    return faults


def draw_strikes(faults: Sequence[Fault], key: jax.Array, round: Array | int, sites: int) -> Array:
    """Draws which faults strike which sites in a round, bool[F, S].

    Each fault draws from a stream named by its position and name, under the run's `key`.
    """

    def one_site(site: Array) -> Array:
        key_of_site = site_key(key, round, site)
        drawn = [is_struck(f, place, site, key_of_site) for place, f in enumerate(faults)]
        return jnp.array(drawn, bool)

    return jax.vmap(one_site)(jnp.arange(sites)).T


def is_struck(fault: Fault, place: int, site: Array, key: jax.Array) -> Array:
    """bool[], whether a fault strikes a site; `place` is its position, `key` that of the site's round."""
    drawn = jax.random.bernoulli(stream(key, f"fault {place} {fault.name}"), fault.share)
    return drawn & (site == np.array(fault.sites, int)).any()


def steps_taken(fault: Fault, steps: int) -> int:
    """How many of its steps a struck site takes."""
    return int(fault.steps * steps) if fault.drops_out else max(1, int(fault.steps * steps))


def present_sites(faults: Sequence[Fault], struck: np.ndarray, planned: np.ndarray) -> np.ndarray:
    """The planned sites, bool[S], that no fault of `struck` bool[F, S] makes absent."""
    away = [hit for fault, hit in zip(faults, struck, strict=True) if fault.absent]
    return planned & ~np.any([np.zeros_like(planned), *away], axis=0)
