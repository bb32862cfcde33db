"""Patients are dealt into splits so that each label's positive patients follow the same fractions.

The rarest label is dealt first, each patient to the split that lacks it most:

    lack[split, label] = share(positives[label])[split] - dealt[split, label]

`share` rounds the fractions of a number of patients to whole patients by largest remainder, at least
one for each split where there are as many. The sizes of the splits are fixed by it beforehand, so a
tiny site keeps three splits, and a label that three patients have reaches all three as far as other
labels leave room.

What is dealt late takes what room is left, so a label that mostly comes with others may still end up in
one split. `exchange` then swaps two patients of different splits, each time those that lower

    sum over splits and labels  (positives[split, label] - wanted)^2 / wanted
    wanted = fraction[split] * positives[label]

most, until no swap lowers it.

References:
    Sechidis, Tsoumakas, Vlahavas: On the Stratification of Multi-label Data. ECML PKDD 2011.
"""

import itertools

import numpy as np


def deal(
    labels: np.ndarray, sizes: np.ndarray, fractions: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Deals patients, or groups of patients that must stay together, into splits.

    Args:
        labels: bool[P, L], which labels each has.
        sizes: int[P] >= 1, how many patients each is; large ones are dealt first.
        fractions: float[K] > 0 that sum to 1, of the patients in each split.
        rng: decides among equals.

    Returns:
        int[P] in 0..K-1. Where all sizes are 1 the splits' sizes are exact; a group may exceed its
        split's by less than its own size.
    """
    room = share(int(sizes.sum()), fractions)
    lack = np.stack([share(count, fractions) for count in labels.sum(0)], axis=1)
    given = np.full(len(labels), -1)
    order = rng.permutation(len(labels))
    order = order[np.argsort(-sizes[order], kind="stable")]
    while (given < 0).any():
        left = order[given[order] < 0]
        counts = labels[left].sum(0)
        rare = np.argmin(np.where(counts > 0, counts, np.iinfo(int).max)) if counts.any() else None
        for patient in left if rare is None else left[labels[left, rare]]:
            need = room / fractions if rare is None else lack[:, rare]
            split = max(np.flatnonzero(room > 0), key=lambda s, need=need: (need[s], room[s]))
            given[patient] = split
            room[split] -= sizes[patient]
            lack[split] -= labels[patient]
    return given


def share(patients: int, fractions: np.ndarray) -> np.ndarray:
    """int[K] that sums to `patients`: largest remainder, each at least 1 from K patients on."""
    sizes = np.floor(patients * fractions).astype(int)
    short = np.argsort(-(patients * fractions - sizes), kind="stable")
    sizes[short[: patients - sizes.sum()]] += 1
    while patients >= len(fractions) and sizes.min() < 1:
        sizes[np.argmax(sizes)] -= 1
        sizes[np.argmin(sizes)] += 1
    return sizes


def exchange(
    labels: np.ndarray,
    sizes: np.ndarray,
    fractions: np.ndarray,
    given: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Swaps patients between splits until no swap brings the labels nearer to the fractions.

    Args:
        labels: bool[P, L].
        sizes: int[P]; only equal sizes are swapped, so those of the splits stay.
        fractions: float[K] > 0.
        given: int[P] in 0..K-1, from `deal`.
        rng: decides among patients with the same labels.

    Returns:
        int[P] in 0..K-1.
    """
    given, order = given.copy(), rng.permutation(len(labels))
    kinds, kind = np.unique(np.column_stack([sizes, labels]), axis=0, return_inverse=True)
    expected = fractions[:, None] * labels.sum(0)
    weight = 1 / np.where(expected > 0, expected, np.inf)
    step = (kinds[None] - kinds[:, None])[..., 1:]  # of what a split holds, giving i for j
    alike = kinds[None, :, 0] == kinds[:, None, 0]
    while True:
        excess = np.array([labels[given == k].sum(0) for k in range(len(fractions))]) - expected
        swaps = []
        for s, t in itertools.combinations(range(len(fractions)), 2):
            own, others = (np.isin(np.arange(len(kinds)), kind[given == k]) for k in (s, t))
            change = weight[s] * step * (2 * excess[s] + step)
            change = change + weight[t] * step * (step - 2 * excess[t])
            worth = np.where(alike & own[:, None] & others, change.sum(-1), np.inf)
            i, j = np.unravel_index(worth.argmin(), worth.shape)
            swaps.append((float(worth[i, j]), s, t, i, j))
        gain, s, t, i, j = min(swaps)
        if gain > -1e-9:
            return given
        one, other = (
            order[(given[order] == split) & (kind[order] == which)][0]
            for split, which in ((s, i), (t, j))
        )
        given[one], given[other] = t, s
