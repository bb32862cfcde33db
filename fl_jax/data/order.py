"""The order in which a round visits a site's examples: a pure function of size, seed, round and site.

    order(n, examples, seed, round_index, site) = permutation_1, permutation_2, ...   truncated to `examples`

Each round draws fresh permutations. If a round takes more than n examples, it makes whole epochs: no example
is visited k + 2 times before all were visited k + 1 times. A resumed run therefore sees the same batches, and
checkpoints need no iterator state.
"""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np


def example_order(n: int, examples: int, seed: int, round_index: int, site: str) -> np.ndarray:
    """Shuffled epochs.

    Args:
        n: examples at the site.
        examples: how many to visit; may exceed n.
        seed: the run's seed, >= 0.
        round_index: from 0.
        site: the site's name; sites of equal size get unrelated orders.

    Returns:
        int64[examples] in [0, n): successive permutations of range(n).

    Raises:
        ValueError: n < 1, examples < 0, or a negative seed or round.
    """
    return _epochs(n, examples, _generator(n, examples, seed, round_index, site))


def balanced_order(
    labels: np.ndarray, examples: int, seed: int, round_index: int, site: str
) -> np.ndarray:
    """Alternates examples without and with a finding, and balances the subtypes among the latter.

    An example with several subtypes may be drawn for each. Examples with `any` alone form a separate
    class.

    Args:
        labels: {0, 1}[n, L] of the site's examples, `any` first.
        examples: how many to visit.
        seed: see `example_order`.
        round_index: see `example_order`.
        site: see `example_order`.

    Returns:
        int64[examples] in [0, n). Within a class, no example is drawn k + 2 times before all were drawn
        k + 1 times. A site with only positive or only negative examples yields those.

    Raises:
        ValueError: see `example_order`.
    """
    rng = _generator(len(labels), examples, seed, round_index, site)
    positive = labels.astype(bool)
    without_subtype = ~positive[:, 1:].any(1)
    members = [~positive.any(1), without_subtype & positive[:, 0], *positive[:, 1:].T]
    negative, *classes = [np.flatnonzero(rows) for rows in members]
    classes = [rows for rows in classes if len(rows)]
    halves = [half for half in ([negative], classes) if half and len(half[0])]
    order = np.empty(examples, np.int64)
    for half, half_places in _in_turn(halves, np.arange(examples), rng):
        for rows, places in _in_turn(half, half_places, rng):
            order[places] = rows[_epochs(len(rows), len(places), rng)]
    return order


def _generator(
    n: int, examples: int, seed: int, round_index: int, site: str
) -> np.random.Generator:
    if n < 1:
        raise ValueError(f"n is {n}: site {site!r} has no examples to train on")
    if examples < 0 or seed < 0 or round_index < 0:
        raise ValueError(
            f"examples {examples}, seed {seed}, round_index {round_index}: none may be negative"
        )
    name = int.from_bytes(hashlib.sha256(site.encode()).digest()[:8], "big")
    return np.random.default_rng([seed, round_index, name])


def _epochs(n: int, examples: int, rng: np.random.Generator) -> np.ndarray:
    epochs = [rng.permutation(n) for _ in range(-(-examples // n))]
    return np.concatenate(epochs)[:examples] if epochs else np.zeros(0, np.int64)


def _in_turn(
    choices: Sequence[Any], places: np.ndarray, rng: np.random.Generator
) -> Iterator[tuple[Any, np.ndarray]]:
    """Assigns places to choices, one each per turn, in a random order in every turn."""
    turns = _epochs(len(choices), len(places), rng)
    for number, choice in enumerate(choices):
        yield choice, places[turns == number]
