"""What a scheme may know of the patients: their labels, their site, how their files were written."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from fl_jax.data.partition.sides import HasPatients

DIALECT = ("bits_stored", "signed", "intercept", "kernel", "spacing")
"""What tells one scanner's files from another's, in this order of weight; spacing in mm."""


class Patients(NamedTuple):
    """P patients, or groups of patients that must stay together, in alphabetical order.

    Attributes:
        name: str[P].
        size: int[P], how many patients each is.
        site: str[P], the dataset's own.
        labels: bool[P, L], which labels any of their slices has.
        dialect: int[P], the place of their files' header in the order of `DIALECT`, equal where headers
            are; None where the dataset does not tell.
    """

    name: np.ndarray
    size: np.ndarray
    site: np.ndarray
    labels: np.ndarray
    dialect: np.ndarray | None

    def take(self, which: np.ndarray) -> "Patients":
        """Some of them, int[n]."""
        dialect = None if self.dialect is None else self.dialect[which]
        return Patients(
            self.name[which], self.size[which], self.site[which], self.labels[which], dialect
        )


Scheme = Callable[[Patients, int], np.ndarray]
"""`(patients, seed) -> str[P]`, the site of each; a pure function."""


def gather(slices: HasPatients, groups: Mapping[str, str]) -> Patients:
    """Sums up a dataset by patient.

    Args:
        slices: the dataset; its `dialect`, if it has one, maps the names of `DIALECT` to arrays [N].
        groups: patient to the name of the group that it must stay with; others are on their own.

    Returns:
        The patients.

    Raises:
        ValueError: no labels, or a patient or a group at two sites.
    """
    if slices.labels.min(initial=0) < 0:
        raise ValueError(
            "slices has no labels: it is for inference only; take a source with labels"
        )
    patients, inverse = np.unique(slices.patient, return_inverse=True)
    site = _owner(slices.site, inverse, lambda row: f"patient {str(slices.patient[row])!r}")
    members: dict[str, list[str]] = {}
    for name in patients.tolist():
        if name in groups:
            members.setdefault(groups[name], []).append(name)
    first = {name: names[0] for names in members.values() for name in names}
    leader = np.array([first.get(name, name) for name in patients.tolist()])
    names, member = np.unique(leader, return_inverse=True)
    site = _owner(site, member, lambda at: f"{str(patients[at])!r}, linked to {str(leader[at])!r},")
    unit = member[inverse]
    labels = np.zeros((len(names), slices.labels.shape[1]), bool)
    np.logical_or.at(labels, unit, slices.labels > 0)
    return Patients(names, np.bincount(member), site, labels, _dialect(slices, unit))


def _owner(site: np.ndarray, unit: np.ndarray, tell: Callable[[int], str]) -> np.ndarray:
    """The one site of each unit; raises where there are two."""
    found = site[np.unique(unit, return_index=True)[1]]
    for row in np.flatnonzero(site != found[unit])[:1]:
        raise ValueError(
            f"{tell(row)} is at site {str(found[unit[row]])!r} and at site {str(site[row])!r}: "
            "a patient belongs to one site; rename or remove one of them"
        )
    return found


def _dialect(slices: HasPatients, unit: np.ndarray) -> np.ndarray | None:
    """The least of each unit's headers, as its place in their order."""
    columns = getattr(slices, "dialect", None)
    if not columns:
        return None
    facts = np.rec.fromarrays([columns[name] for name in DIALECT])
    _, place = np.unique(facts, return_inverse=True)
    least = np.full(unit.max() + 1, len(facts))
    np.minimum.at(least, unit, place)
    return least


def site_names(sites: int) -> np.ndarray:
    """str[S], names for sites that a scheme makes; they sort as they count.

    Raises:
        ValueError: no site.
    """
    if sites < 1:
        raise ValueError(f"sites={sites}: must be at least 1")
    width = len(str(sites))
    return np.array([f"site_{number:0{width}d}" for number in range(1, sites + 1)])


def kinds(labels: np.ndarray) -> np.ndarray:
    """Each patient's one kind: the rarest label that it has.

    Args:
        labels: bool[P, L].

    Returns:
        int[P]: a label's number, or -1 for a patient without any. `any` is a patient's kind only
        where no subtype is known.
    """
    held = np.where(labels, labels.sum(0), len(labels) + 1)
    held[:, 0] += labels[:, 0]  # `any`, where it ties with its only subtype, comes after it
    return np.where(labels.any(1), held.argmin(1), -1)
