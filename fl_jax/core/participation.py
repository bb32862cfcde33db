"""Which sites participate in a round."""

import jax
import numpy as np

from fl_jax.core.keys import stream


def participation(key: jax.Array, round: int, sites: int, min_sites: int) -> np.ndarray:
    """Draws a round's sites: their number uniformly from min_sites..S, then that many without replacement.

    Args:
        key: the run's key.
        round: from 0; key and round determine the draw, so a resumed run repeats it.
        sites: S.
        min_sites: in 1..S; S means full participation.

    Returns:
        bool[S].

    >>> key = jax.random.key(0)
    >>> [int(participation(key, index, sites=5, min_sites=4).sum()) for index in range(6)]
    [4, 4, 5, 5, 4, 4]
    """
    if not 1 <= min_sites <= sites:
        raise ValueError(f"min_sites={min_sites}: must lie in 1..{sites}, the number of sites")
    seed = jax.random.key_data(jax.random.fold_in(stream(key, "participation"), round))
    generator = np.random.default_rng(np.asarray(seed).tolist())
    count = generator.integers(min_sites, sites, endpoint=True)
    present = np.zeros(sites, bool)
    present[generator.permutation(sites)[:count]] = True
    return present
