"""What a site counts: the weight of its message, and its part of the fraction that the server receives.

examples:  w_s = examples of site s in this round,  fraction = (sum_{s in P} n_s) / (sum_s n_s)
equal:     w_s = 1,                                 fraction = |P| / S

P are the sites whose message was accepted, and n_s is the size of site s, fixed for the run. The fraction
turns a mean over P into a sum over all sites, absent ones being zero: sum_{s in P} n_s m_s / sum_s n_s. So,
whoever is absent, the server's control variate stays the weighted mean of the sites' (`scaffold`, `fed_dyn`),
and a buffer fills as it should (`fed_buff`).

Sharp edges: with `examples` this is exact where sites process examples in proportion to n_s, and a straggler
does not; with `equal` it is always exact. An algorithm's own factor for a site (`agnostic`) multiplies w_s.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from fl_jax.core.types import Array, Report

WEIGHTINGS = ("examples", "equal")
"""By examples: every example counts the same. Equal: every site does, as in papers that sample sites."""


class Weighting(NamedTuple):
    """How sites are weighted in a run.

    Attributes:
        name: one of `WEIGHTINGS`.
        sizes: [S], see `make`.
    """

    name: str
    sizes: Any

    def shares(self, sites: int) -> Array:
        """What each site counts in the fraction, relative to the others, [S].

        Raises:
            ValueError: the sizes are not of S sites.
        """
        if self.sizes is not None and len(self.sizes) != sites:
            raise ValueError(f"sizes: has {len(self.sizes)} values for {sites} sites")
        if self.sizes is None or self.name == "equal":
            return np.ones(sites)
        return self.sizes

    def weigh(self, report: Report) -> Report:
        """Replaces the examples in a report's weight by 1, unless they are what counts."""
        if self.name == "examples":
            return report
        if "examples" not in report.metrics:
            raise ValueError(
                f"weighting={self.name!r}: the algorithm's metrics have no 'examples', which its weight "
                "counts; see `client.metrics`"
            )
        examples = report.metrics["examples"]
        weight = report.weight / jnp.where(examples > 0, examples, 1)
        return report._replace(weight=weight)


def make(name: str, sizes: Sequence[float] | Array | None = None) -> Weighting:
    """Makes a weighting.

    Args:
        name: one of `WEIGHTINGS`.
        sizes: [S], each site's examples in a round, > 0, in any unit; None for sites of equal size. Not from
            messages: a simulation knows them from its plan, a server from when a site joined.

    Raises:
        ValueError: an unknown name, or sizes that are not positive and finite.
    """
    if name not in WEIGHTINGS:
        raise ValueError(f"weighting={name!r}: must be one of {', '.join(WEIGHTINGS)}")
    if sizes is not None and not isinstance(sizes, Tracer):
        sizes = np.asarray(sizes, float)
        if sizes.ndim != 1 or not (np.isfinite(sizes) & (sizes > 0)).all():
            raise ValueError(
                f"sizes={sizes.tolist()}: must be one number of examples > 0 for each site"
            )
    return Weighting(name, sizes)


def fraction(shares: Array, accepted: Array) -> Array:
    """The fraction that the server receives.

    Args:
        shares: [S], see `Weighting.shares`.
        accepted: bool[S].

    Returns:
        float[] in [0, 1]; exactly 1 when all are accepted.

    >>> accepted = jnp.array([True, False, True])
    >>> float(fraction(np.array([12, 6, 2]), accepted)), float(fraction(np.ones(3), jnp.ones(3, bool)))
    (0.699999988079071, 1.0)
    """
    shares = jnp.asarray(shares, float)
    part = jnp.where(accepted, shares, 0).sum() / shares.sum()
    return jnp.where(jnp.all(accepted), 1, part)
