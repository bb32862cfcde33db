"""Rounds in time: a generator that runs them one after another, and skips or stops at void rounds.

A round is void when fewer than `min_sites` messages were accepted, or when the server's state after it is not
finite, as from finite messages whose sum overflows.
"""

from collections.abc import Callable, Iterable, Iterator

import jax
import jax.numpy as jnp
import numpy as np

from fl_jax.core.layouts import Round, State
from fl_jax.core.trees import all_finite, where
from fl_jax.core.types import Array, Batch, Metrics


class TooFewError(ValueError):
    """A void round in a run with `void='stop'`."""


def run_rounds(
    run: Round,
    state: State,
    *,
    until: int,
    batches: Callable[[int, int], Iterable[Batch]],
    participants: Callable[[int], np.ndarray],
    min_sites: int = 0,
    void: str = "skip",
) -> Iterator[tuple[State, Metrics]]:
    """Runs rounds from the state's round on, yielding after each.

    Args:
        run: a layout, see `fl_jax.core.layouts`.
        state: where to continue; its `round` counts completed rounds.
        until: the number of rounds to have completed at the end.
        batches: `(round, site) -> batches`, deterministic, so that a resumed run sees the same.
        participants: `(round) -> bool[S]`.
        min_sites: a round with fewer accepted messages is void; 0 accepts every round as it is.
        void: `'skip'`: a void round only advances the round's number; `'stop'`: it raises.

    Yields:
        The state and the round's metrics, each with a leading axis S, plus `participating` bool[S] and
        `void` bool[].

    Raises:
        ValueError: when `void` is neither; `TooFewError` at a void round with `'stop'`.
    """
    if void not in ("skip", "stop"):
        raise ValueError(f"void={void!r}: must be 'skip' or 'stop'")
    for index in range(int(state.round), until):
        present = participants(index)
        after, metrics = run(state, lambda site, index=index: batches(index, site), present)
        # As `settle`, but chosen here: a program of whole states takes a second to compile, for every S.
        is_void = min_sites > 0 and (
            int(np.asarray(metrics["accepted"]).sum()) < min_sites or not _all_finite(after.server)
        )
        if is_void and void == "stop":
            raise TooFewError(_reason(index, metrics["accepted"], min_sites))
        state = state._replace(round=after.round) if is_void else after
        yield state, metrics | {"participating": present, "void": np.array(is_void)}


def settle(before: State, after: State, accepted: Array, *, min_sites: int) -> tuple[State, Array]:
    """Keeps a round, or undoes it if fewer than `min_sites` messages were accepted; its number advances.

    Returns:
        The state, and bool[], whether the round is void.
    """
    void = jnp.asarray(accepted).sum() < min_sites
    void |= ~all_finite(after.server)
    return where(void, before._replace(round=after.round), after), void


_all_finite = jax.jit(all_finite)


def _reason(index: int, accepted: Array, min_sites: int) -> str:
    count = int(np.asarray(accepted).sum())
    why = "its aggregate made the server's model not finite"
    if count < min_sites:
        why = f"only {count} of at least {min_sites} sites sent a message that could be accepted"
    return (
        f"round {index + 1}: {why}. Earlier rounds are saved; lower min_sites, use a robust aggregator, or "
        "set void_rounds='skip'"
    )
