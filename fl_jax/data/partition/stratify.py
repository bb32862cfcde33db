"""Stratified splits of patients with several labels each.

`greedy` handles the rarest label first and gives each of its patients to the split that lacks it most:

    lack[split, label] = share(positives[label])[split] - assigned[split, label]

`share` rounds fractions of a number of patients to whole patients by largest remainder, with at least one per
split where possible. It also fixes the sizes of the splits, so a tiny site keeps three splits, and a label
with three positive patients reaches all three splits as far as other labels leave room.

Patients assigned late fill the remaining places, so a label that mostly occurs with others may still end up
in one split. `exchange` then swaps two patients of different splits while that lowers

    sum over splits and labels  (positives[split, label] - expected)^2 / expected
    expected = fraction[split] * positives[label]

Reference: Sechidis, Tsoumakas and Vlahavas, "On the Stratification of Multi-label Data", ECML PKDD 2011.
"""

import itertools

import numpy as np


def greedy(
    labels: np.ndarray, sizes: np.ndarray, fractions: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Assigns units, i.e. patients or groups of linked patients, to splits.

    Args:
        labels: bool[P, L], which labels each unit has.
        sizes: int[P] >= 1, patients in each unit; large units are assigned first.
        fractions: float[K] > 0 that sum to 1, each split's share of the patients.
        rng: breaks ties.

    Returns:
        int[P] in 0..K-1. If all sizes are 1, the splits' sizes are exact; a larger unit may exceed its
        split's size by less than its own size.
    """
    room = share(int(sizes.sum()), fractions)
    lack = np.stack([share(count, fractions) for count in labels.sum(0)], axis=1)
    split_of = np.full(len(labels), -1)
    order = rng.permutation(len(labels))
    order = order[np.argsort(-sizes[order], kind="stable")]
    while (split_of < 0).any():
        left = order[split_of[order] < 0]
        counts = labels[left].sum(0)
        rare = np.argmin(np.where(counts > 0, counts, np.iinfo(int).max)) if counts.any() else None
        for unit in left if rare is None else left[labels[left, rare]]:
            need = room / fractions if rare is None else lack[:, rare]
            split = max(np.flatnonzero(room > 0), key=lambda s, need=need: (need[s], room[s]))
            split_of[unit] = split
            room[split] -= sizes[unit]
            lack[split] -= labels[unit]
    return split_of


def share(patients: int, fractions: np.ndarray) -> np.ndarray:
    """int[K] that sums to `patients`: largest remainder, each at least 1 if patients >= K."""
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
    split_of: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Swaps units between splits until no swap brings the label rates closer to the fractions.

    Args:
        labels: bool[P, L].
        sizes: int[P]; only units of equal size are swapped, so the splits keep their sizes.
        fractions: float[K] > 0.
        split_of: int[P] in 0..K-1, from `greedy`.
        rng: chooses among units with equal labels.

    Returns:
        int[P] in 0..K-1.
    """
    split_of, order = split_of.copy(), rng.permutation(len(labels))
    kinds, kind = np.unique(np.column_stack([sizes, labels]), axis=0, return_inverse=True)
    expected = fractions[:, None] * labels.sum(0)
    weight = 1 / np.where(expected > 0, expected, np.inf)
    step = (kinds[None] - kinds[:, None])[..., 1:]  # change of a split's counts on giving i for j
    same_size = kinds[None, :, 0] == kinds[:, None, 0]
    while True:
        excess = np.array([labels[split_of == k].sum(0) for k in range(len(fractions))]) - expected
        swaps = []
        for s, t in itertools.combinations(range(len(fractions)), 2):
            in_s, in_t = (np.isin(np.arange(len(kinds)), kind[split_of == k]) for k in (s, t))
            change = weight[s] * step * (2 * excess[s] + step)
            change = change + weight[t] * step * (step - 2 * excess[t])
            cost = np.where(same_size & in_s[:, None] & in_t, change.sum(-1), np.inf)
            i, j = np.unravel_index(cost.argmin(), cost.shape)
            swaps.append((float(cost[i, j]), s, t, i, j))
        best, s, t, i, j = min(swaps)
        if best > -1e-9:
            return split_of
        one, other = (
            order[(split_of[order] == split) & (kind[order] == which)][0]
            for split, which in ((s, i), (t, j))
        )
        split_of[one], split_of[other] = t, s
