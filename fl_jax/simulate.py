"""A federation in time, on the host: who takes part in a round, and rounds one after another."""

from collections.abc import Callable, Iterable, Iterator

import jax
import numpy as np

from fl_jax.keys import stream
from fl_jax.round import Round, State
from fl_jax.types import Batch, Metrics


def participation(key: jax.Array, round: int, sites: int, min_sites: int) -> np.ndarray:
    """Draws the sites of a round: a number uniform in min_sites..S, then that many without replacement.

    Args:
        key: the run's key.
        round: from 0; together with the key it decides, so a resumed run draws the same.
        sites: S.
        min_sites: in 1..S; S means that every site takes part in every round.

    Returns:
        bool[S].

    Raises:
        ValueError: when `min_sites` is out of range.
    """
    if not 1 <= min_sites <= sites:
        raise ValueError(f"min_sites={min_sites}: must lie in 1..{sites}, the number of sites")
    seed = jax.random.key_data(jax.random.fold_in(stream(key, "participation"), round))
    generator = np.random.default_rng(np.asarray(seed).tolist())
    count = generator.integers(min_sites, sites, endpoint=True)
    present = np.zeros(sites, bool)
    present[generator.permutation(sites)[:count]] = True
    return present


def rounds(
    run: Round,
    state: State,
    *,
    until: int,
    batches: Callable[[int, int], Iterable[Batch]],
    participants: Callable[[int], np.ndarray],
) -> Iterator[tuple[State, Metrics]]:
    """Runs rounds from where the state stands, yielding after each.

    Args:
        run: a layout, see `fl_jax.round`.
        state: where to go on; its `round` says how many rounds are done.
        until: how many rounds shall be done in the end.
        batches: `(round, site) -> batches`, a pure function, so that a resumed run sees the same.
        participants: `(round) -> bool[S]`.

    Yields:
        The state after the round and the round's metrics, each with a leading axis S, and
        `participating` bool[S].
    """
    for index in range(int(state.round), until):
        present = participants(index)
        state, metrics = run(state, lambda site, index=index: batches(index, site), present)
        yield state, metrics | {"participating": present}
