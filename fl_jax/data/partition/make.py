"""Makes a partition: a scheme sends patients to sites, then each site's are dealt into splits."""

import zlib
from collections.abc import Mapping

import numpy as np

from fl_jax.data.partition.deal import deal, exchange
from fl_jax.data.partition.patients import Scheme, gather
from fl_jax.data.partition.schemes.natural import natural
from fl_jax.data.partition.sides import SPLITS, HasPatients, Partition, check_disjoint, linked
from fl_jax.data.sources.listing import HOLDOUT


def by_patient(
    slices: HasPatients,
    *,
    fractions: tuple[float, float, float] = (0.7, 0.15, 0.15),
    seed: int,
    scheme: Scheme | None = None,
    groups: Mapping[str, str] | None = None,
    folds: int = 1,
    fold: int = 0,
    stratify: str = "greedy",
    holdout: str = HOLDOUT,
) -> Partition:
    """Sends patients to sites and splits each site's into train, validation and test, by label.

    Guarantees:
        A patient is in one site and one split, and so are the patients of a group. Each split of each
        site has a patient. The result depends on the set of patients, their labels, how their files
        were written, and the seed; not on the order of the rows.

    Args:
        slices: the dataset.
        fractions: of a site's patients in train, validation, test; positive, summing to 1.
        seed: decides who goes where among equals.
        scheme: see `schemes`; None is `natural()`.
        groups: patient to the name of a group that must stay on one side, e.g. patients who share a
            picture; None takes the dataset's `linked`, where it has it.
        folds: K; over 1 it is cross-validation: the test split is one of K parts, each patient of a site
            in the test split of one fold, and the others are train and validation in the ratio of
            `fractions`.
        fold: which part, from 0.
        stratify: `'greedy'`: see `deal`; `'exchange'`: then patients are swapped until labels are as even
            as swaps can make them.
        holdout: the site whose patients all go to the split `holdout` in any scheme; it may be absent.

    Returns:
        The partition.

    Raises:
        ValueError: bad fractions, folds or stratify, no labels, a site with too few patients, or a
            patient or a group at two sites.
    """
    _check(fractions, folds, fold, stratify)
    groups = linked(slices) if groups is None else groups
    patients = gather(slices, groups)
    scheme = scheme or natural()
    site = patients.site.astype(object)
    own = np.flatnonzero(patients.site != holdout)
    site[own] = scheme(patients.take(own), seed)
    split = np.full(len(site), SPLITS.index(HOLDOUT))
    for name in sorted(set(site[own])):
        here = np.flatnonzero(site == name)
        needed = max(3, folds)
        if len(here) < needed:
            raise ValueError(
                f"site {str(name)!r} has {len(here)} patients: train, validation and test need at "
                f"least {needed}; merge it with another site or leave it out, or have fewer sites"
            )
        rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        labels, sizes = patients.labels[here], patients.size[here]
        split[here] = _splits(labels, sizes, np.array(fractions), folds, fold, stratify, rng)
    made = _lines(slices, groups, patients.name, site.astype(str), split)
    check_disjoint(made, slices, own_sites=False)
    return made


def _check(fractions: tuple[float, ...], folds: int, fold: int, stratify: str) -> None:
    numbers = all(isinstance(part, int | float) for part in fractions)
    if (
        not numbers
        or len(fractions) != 3
        or min(fractions) <= 0
        or not abs(sum(fractions) - 1) <= 1e-6
    ):
        raise ValueError(
            f"fractions is {fractions}: give three positive numbers (train, validation, test) "
            "that sum to 1"
        )
    if folds < 1 or not 0 <= fold < folds:
        raise ValueError(
            f"folds={folds}, fold={fold}: folds must be at least 1, where 1 is none, and fold in "
            "0..folds-1"
        )
    if stratify not in ("greedy", "exchange"):
        raise ValueError(f"stratify={stratify!r}: must be 'greedy' or 'exchange'")


def _splits(
    labels: np.ndarray,
    sizes: np.ndarray,
    fractions: np.ndarray,
    folds: int,
    fold: int,
    stratify: str,
    rng: np.random.Generator,
) -> np.ndarray:
    """int[P] in {0, 1, 2}: one site's train, validation and test."""

    def part(which: np.ndarray, fractions: np.ndarray) -> np.ndarray:
        given = deal(labels[which], sizes[which], fractions, rng)
        if stratify == "exchange":
            given = exchange(labels[which], sizes[which], fractions, given, rng)
        return given

    everyone = np.ones(len(labels), bool)
    if folds == 1:
        return part(everyone, fractions)
    test = part(everyone, np.full(folds, 1 / folds)) == fold
    split = np.where(test, 2, 0)
    split[~test] = part(~test, fractions[:2] / fractions[:2].sum())
    return split


def _lines(
    slices: HasPatients,
    groups: Mapping[str, str],
    name: np.ndarray,
    site: np.ndarray,
    split: np.ndarray,
) -> Partition:
    """A line for each patient from one for each group, which is named by one of its patients."""
    patients = np.unique(slices.patient)
    named = {groups[leader]: leader for leader in name.tolist() if leader in groups}
    leaders = [named.get(groups.get(p, ""), p) for p in patients.tolist()]
    at = np.searchsorted(name, leaders)
    order = np.lexsort((patients, split[at], site[at]))
    at = at[order]
    return Partition(patients[order], site[at], np.array(SPLITS)[split[at]])
