"""Patients with sites and random labels, for tests of partitions."""

from typing import NamedTuple

import numpy as np

from fl_jax.data.partition import Partition


class Facts(NamedTuple):
    """What `by_patient` needs of a dataset."""

    patient: np.ndarray
    site: np.ndarray
    labels: np.ndarray


def facts(patients: dict[str, int], slices: int = 4, seed: int = 0) -> Facts:
    """Sites with so many patients; each label is in about a third of them."""
    rng = np.random.default_rng(seed)
    patient, site, labels = [], [], []
    for name, count in patients.items():
        for number in range(count):
            has = rng.random(6) < 0.35
            for _ in range(slices):
                patient.append(f"{name}{number}")
                site.append(name)
                labels.append(has & (rng.random(6) < 0.5))
    order = rng.permutation(len(patient))
    return Facts(np.array(patient)[order], np.array(site)[order], np.array(labels, np.uint8)[order])


def sides(partition: Partition) -> dict[str, tuple[str, str]]:
    return {p: (site, split) for p, site, split in zip(*map(list, partition), strict=True)}


DATA = facts({"a": 40, "b": 11, "holdout": 7})
