"""Makes a partition: a scheme assigns patients to sites, then each site's patients are split by label."""

import zlib
from collections.abc import Mapping

import numpy as np

from fl_jax.data.partition import stratify as stratification
from fl_jax.data.partition.patients import Scheme, gather
from fl_jax.data.partition.schemes.natural import natural
from fl_jax.data.partition.table import SPLITS, HasPatients, Partition, check_disjoint, linked
from fl_jax.data.site_names import HOLDOUT


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
    """Assigns patients to sites, and each site's patients to train, validation and test.

    Guarantees:
        Each patient has one site and one split; all patients of a group share both. Each split of each site
        has a patient. The result depends on the set of patients, their labels, their files' headers and the
        seed, not on the order of rows.

    Args:
        slices: the dataset.
        fractions: of a site's patients in train, validation and test; positive, with sum 1.
        seed: breaks ties.
        scheme: see `schemes`; None is `natural()`.
        groups: maps a patient to the name of a group that must not be divided, e.g. patients who share a
            picture; None takes `slices.linked` if it exists.
        folds: K; with K > 1 the test split is one of K parts (cross-validation), and the others are divided
            into train and validation in the ratio of `fractions`.
        fold: which part is the test split, from 0.
        stratify: `'greedy'`, or `'exchange'` to swap patients afterwards; see `stratify`.
        holdout: the site whose patients are all in split `holdout` with any scheme; may be absent.

    Returns:
        The partition.

    Raises:
        ValueError: bad fractions, folds or stratify; no labels; a site with too few patients; a patient or
            group at two sites.
    """
    _check(fractions, folds, fold, stratify)
    groups = linked(slices) if groups is None else groups
    patients = gather(slices, groups)
    scheme = scheme or natural()
    site = patients.site.astype(object)
    training = np.flatnonzero(patients.site != holdout)
    site[training] = scheme(patients.take(training), seed)
    split = np.full(len(site), SPLITS.index(HOLDOUT))
    for name in sorted(set(site[training])):
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
    partition = _per_patient(slices, groups, patients.name, site.astype(str), split)
    check_disjoint(partition, slices, same_sites=False)
    return partition


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

    def divide(which: np.ndarray, fractions: np.ndarray) -> np.ndarray:
        split_of = stratification.greedy(labels[which], sizes[which], fractions, rng)
        if stratify == "exchange":
            split_of = stratification.exchange(
                labels[which], sizes[which], fractions, split_of, rng
            )
        return split_of

    everyone = np.ones(len(labels), bool)
    if folds == 1:
        return divide(everyone, fractions)
    test = divide(everyone, np.full(folds, 1 / folds)) == fold
    split = np.where(test, 2, 0)
    split[~test] = divide(~test, fractions[:2] / fractions[:2].sum())
    return split


def _per_patient(
    slices: HasPatients,
    groups: Mapping[str, str],
    name: np.ndarray,
    site: np.ndarray,
    split: np.ndarray,
) -> Partition:
    """Expands one row per group, which is named by one of its patients, to one row per patient."""
    patients = np.unique(slices.patient)
    leader_of = {groups[leader]: leader for leader in name.tolist() if leader in groups}
    leaders = [leader_of.get(groups.get(p, ""), p) for p in patients.tolist()]
    at = np.searchsorted(name, leaders)
    order = np.lexsort((patients, split[at], site[at]))
    at = at[order]
    return Partition(patients[order], site[at], np.array(SPLITS)[split[at]])
