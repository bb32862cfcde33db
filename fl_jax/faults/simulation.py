"""A federation in time, on the host: who takes part in a round, and rounds one after another."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np

from fl_jax.core.keys import stream
from fl_jax.core.layouts import Dropout, Round, State
from fl_jax.core.layouts.common import all_finite, where
from fl_jax.core.types import Array, Batch, Metrics
from fl_jax.faults import fault as faulty
from fl_jax.faults.fault import Fault


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


class TooFewError(ValueError):
    """A round that cannot be used, in a run that shall stop at one."""


def settle(
    before: State, after: State, accepted: Array, *, min_sites: int, trusting: bool = False
) -> tuple[State, Array]:
    """Takes a round, or leaves everything but the round's number as it was before.

    Args:
        before: the state before the round.
        after: the state after it.
        accepted: bool[S], whose message was taken.
        min_sites: with fewer messages the round is void.
        trusting: take the round whatever is in it; else it is also void where the server's state after it
            holds a NaN or an infinity, as from finite messages whose sum overflows.

    Returns:
        The state, and bool[], whether the round is void.
    """
    void = jnp.asarray(accepted).sum() < min_sites
    void |= ~all_finite(after.server)
    void &= not trusting
    return where(void, before._replace(round=after.round), after), void


_settle = jax.jit(settle, static_argnames=("min_sites", "trusting"))
_strikes = lru_cache(maxsize=8)(
    lambda faults, sites: jax.jit(lambda key, round: faulty.strikes(faults, key, round, sites))
)


def rounds(
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
    """Runs rounds from where the state stands, yielding after each.

    Args:
        run: a layout, see `fl_jax.core.layouts`.
        state: where to go on; its `round` says how many rounds are done.
        until: how many rounds shall be done in the end.
        batches: `(round, site) -> batches`, a pure function, so that a resumed run sees the same.
        participants: `(round) -> bool[S]`.
        faults: what goes wrong; the aggregator of `run` and `state` is `faulty.between(..., faults)`.
        steps: `(round, site) -> int`, how many batches there are; needed for faults that end a training.
        min_sites: with fewer messages taken, a round is void; so is one that makes the server's state not
            finite. 0 takes every round as it is.
        void: `'skip'`: a void round changes nothing, and the next one follows; `'stop'`: the run ends.

    Yields:
        The state after the round and the round's metrics, each with a leading axis S; `participating`
        bool[S]; `void` bool[]; and `struck` bool[F, S], which fault struck which of the sites that were
        to take part.

    Raises:
        ValueError: for a wrong argument; `TooFewError` at a void round, when it shall stop.
    """
    if void not in ("skip", "stop"):
        raise ValueError(f"void={void!r}: must be 'skip' or 'stop'")
    if steps is None and any(fault.steps < 1 for fault in faults):
        raise ValueError("steps=None: a fault ends trainings early; say how many steps there are")
    trusting = any(fault.trusting for fault in faults)
    for index in range(int(state.round), until):
        planned = participants(index)
        struck = np.zeros((len(faults), len(planned)), bool)
        if faults:
            drawn = _strikes(tuple(faults), len(planned))(state.key, jnp.int32(index))
            struck = np.asarray(drawn) & planned
        present = faulty.present(faults, struck, planned)

        def feed(site: int, index: int = index, struck: np.ndarray = struck) -> Iterable[Batch]:
            own = struck[:, site]
            if not own.any():
                return batches(index, site)
            count = steps(index, site) if steps else 0
            return _spoilt(faults, own, batches(index, site), count)

        after, metrics = run(state, feed, present)
        if min_sites:
            kept, is_void = _settle(
                state, after, metrics["accepted"], min_sites=min_sites, trusting=trusting
            )
        else:
            kept, is_void = after, np.array(False)
        if bool(is_void) and void == "stop":
            raise TooFewError(_complaint(index, metrics["accepted"], min_sites))
        state = kept
        yield (
            state,
            metrics | {"participating": planned, "void": np.asarray(is_void), "struck": struck},
        )


def _spoilt(
    faults: Sequence[Fault], own: np.ndarray, batches: Iterable[Batch], steps: int
) -> Iterator[Batch]:
    """What a struck site trains on: other labels, fewer steps, or `Dropout` in the middle."""
    ending = [
        (faulty.steps_taken(f, steps), f.leaves)
        for f, hit in zip(faults, own, strict=True)
        if hit and f.steps < 1
    ]
    last, leaves = min(ending, default=(steps, False))
    for number, batch in enumerate(faulty.relabelled(faults, own, batches)):
        if ending and number >= last:
            break
        yield batch
    if leaves:
        raise Dropout


def _complaint(round: int, accepted: Array, min_sites: int) -> str:
    count = int(np.asarray(accepted).sum())
    if count < min_sites:
        why = f"only {count} of at least {min_sites} sites sent a message that could be taken"
    else:
        why = "its aggregate made the server's model not finite"
    return (
        f"round {round + 1}: {why}; the rounds before it are kept. Lower min_sites, use another aggregator, "
        "or skip such rounds"
    )
