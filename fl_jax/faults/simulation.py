"""Runs rounds of a federation with faults."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np

from fl_jax.core.layouts import Dropout, Round, State
from fl_jax.core.rounds import run_rounds
from fl_jax.core.types import Array, Batch, Metrics
from fl_jax.faults.fault import Fault, draw_strikes, present_sites, steps_taken

_strikes = lru_cache(maxsize=8)(
    lambda faults, sites: jax.jit(lambda key, round: draw_strikes(faults, key, round, sites))
)


def run_faulty_rounds(
    run: Round,
    state: State,
    *,
    until: int,
    batches: Callable[[int, int], Iterable[Batch]],
    participants: Callable[[int], np.ndarray],
    faults: Sequence[Fault] = (),
    steps: Callable[[int, int], int] | None = None,
    min_sites: int = 0,
    void: str = "skip",
) -> Iterator[tuple[State, Metrics]]:
    """Runs rounds as `core.rounds.run_rounds` does, with faults.

    Args:
        run: a layout; its aggregator must be `transport.with_faults(aggregator, faults)`.
        state: where to continue.
        until: the number of rounds to have completed at the end.
        batches: `(round, site) -> batches`, deterministic.
        participants: `(round) -> bool[S]`, the planned sites.
        faults: F faults.
        steps: `(round, site) -> int`, the number of batches; required by faults that end training early.
        min_sites: a round with fewer accepted messages is void, unless the server is trusting.
        void: `'skip'` or `'stop'` at a void round.

    Yields:
        The state and the round's metrics, see `run_rounds`; `participating` bool[S] are the planned sites,
        `struck` bool[F, S] says which fault struck which of them.

    Raises:
        ValueError: for an invalid argument; `TooFewError` at a void round with `'stop'`.
    """
    if steps is None and any(fault.steps < 1 for fault in faults):
        raise ValueError("steps=None: a fault ends training early; pass the number of steps")
    key = state.key

    @lru_cache(maxsize=1)
    def draw(index: int) -> tuple[np.ndarray, np.ndarray]:
        """The planned sites, and which fault strikes which of them."""
        planned = participants(index)
        if not faults:
            return planned, np.zeros((0, len(planned)), bool)
        drawn = _strikes(tuple(faults), len(planned))(key, jnp.int32(index))
        return planned, np.asarray(drawn) & planned

    def present(index: int) -> np.ndarray:
        planned, struck = draw(index)
        return present_sites(faults, struck, planned)

    def faulty_batches(index: int, site: int) -> Iterable[Batch]:
        struck = draw(index)[1][:, site]
        if not struck.any():
            return batches(index, site)
        count = steps(index, site) if steps else 0
        return _faulty(faults, struck, batches(index, site), count)

    trusting = any(fault.trusting for fault in faults)
    for after, metrics in run_rounds(
        run,
        state,
        until=until,
        batches=faulty_batches,
        participants=present,
        min_sites=0 if trusting else min_sites,
        void=void,
    ):
        planned, struck = draw(int(after.round) - 1)
        yield after, metrics | {"participating": planned, "struck": struck}


def _faulty(
    faults: Sequence[Fault], struck: np.ndarray, batches: Iterable[Batch], steps: int
) -> Iterator[Batch]:
    """A struck site's batches: relabelled, cut short, or ending in `Dropout`; `struck` is bool[F]."""
    endings = [
        (steps_taken(fault, steps), fault.drops_out)
        for fault, hit in zip(faults, struck, strict=True)
        if hit and fault.steps < 1
    ]
    last, drops_out = min(endings, default=(steps, False))
    for number, batch in enumerate(relabel(faults, struck, batches)):
        if endings and number >= last:
            break
        yield batch
    if drops_out:
        raise Dropout


def relabel(faults: Sequence[Fault], struck: Array, batches: Iterable[Batch]) -> Iterator[Batch]:
    """A site's batches with the labels it trains on; `struck` is bool[F]."""
    changes = [f.relabel for f, hit in zip(faults, struck, strict=True) if f.relabel and hit]
    for batch in batches:
        for change in changes:
            batch = batch._replace(labels=change(batch.labels))
        yield batch
