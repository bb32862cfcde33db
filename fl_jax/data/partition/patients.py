"""`Patients`, a scheme's input: labels, site, and how the files were written."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from fl_jax.data.partition.table import HasPatients

DIALECT = ("bits_stored", "signed", "intercept", "kernel", "spacing")
"""Header fields that distinguish scanners, most significant first; spacing in mm."""


class Patients(NamedTuple):
    """P units, i.e. patients or groups of linked patients, in alphabetical order.

    Attributes:
        name: str[P].
        size: int[P], patients in each unit.
        site: str[P], the dataset's site.
        labels: bool[P, L], whether any slice has the label.
        dialect: int[P], rank of the files' header in the order of `DIALECT`, equal for equal headers; None if
            the dataset has no headers.
    """

    name: np.ndarray
    size: np.ndarray
    site: np.ndarray
    labels: np.ndarray
    dialect: np.ndarray | None

    def take(self, which: np.ndarray) -> "Patients":
        """Selects units by position, int[n]."""
        dialect = None if self.dialect is None else self.dialect[which]
        return Patients(
            self.name[which], self.size[which], self.site[which], self.labels[which], dialect
        )


Scheme = Callable[[Patients, int], np.ndarray]
"""`(patients, seed) -> str[P]`, the site of each; a pure function."""


def gather(slices: HasPatients, groups: Mapping[str, str]) -> Patients:
    """Aggregates a dataset by patient.

    Args:
        slices: the dataset; if it has `dialect`, that maps the names of `DIALECT` to arrays [N].
        groups: maps a patient to the name of its group; a patient without one forms a unit alone.

    Returns:
        The patients.

    Raises:
        ValueError: no labels, or a patient or group at two sites.
    """
    if slices.labels.min(initial=0) < 0:
        raise ValueError(
            "slices has no labels: it is for inference only; take a source with labels"
        )
    patients, inverse = np.unique(slices.patient, return_inverse=True)
    site = _single_site(slices.site, inverse, lambda row: f"patient {str(slices.patient[row])!r}")
    members: dict[str, list[str]] = {}
    for name in patients.tolist():
        if name in groups:
            members.setdefault(groups[name], []).append(name)
    leader_of = {name: names[0] for names in members.values() for name in names}
    leader = np.array([leader_of.get(name, name) for name in patients.tolist()])
    names, member = np.unique(leader, return_inverse=True)
    site = _single_site(
        site, member, lambda at: f"{str(patients[at])!r}, linked to {str(leader[at])!r},"
    )
    unit = member[inverse]
    labels = np.zeros((len(names), slices.labels.shape[1]), bool)
    np.logical_or.at(labels, unit, slices.labels > 0)
    return Patients(names, np.bincount(member), site, labels, _dialect(slices, unit))


def _single_site(site: np.ndarray, unit: np.ndarray, name: Callable[[int], str]) -> np.ndarray:
    """The site of each unit; raises ValueError if a unit has two."""
    site_of = site[np.unique(unit, return_index=True)[1]]
    for row in np.flatnonzero(site != site_of[unit])[:1]:
        raise ValueError(
            f"{name(row)} is at site {str(site_of[unit[row]])!r} and at site {str(site[row])!r}: "
            "a patient belongs to one site; rename or remove one of them"
        )
    return site_of


def _dialect(slices: HasPatients, unit: np.ndarray) -> np.ndarray | None:
    """The lowest rank among each unit's headers."""
    columns = getattr(slices, "dialect", None)
    if not columns:
        return None
    headers = np.rec.fromarrays([columns[name] for name in DIALECT])
    _, rank = np.unique(headers, return_inverse=True)
    lowest = np.full(unit.max() + 1, len(headers))
    np.minimum.at(lowest, unit, rank)
    return lowest


def rarest_label(labels: np.ndarray) -> np.ndarray:
    """The rarest label of each patient, which schemes use as its class.

    Args:
        labels: bool[P, L].

    Returns:
        int[P]: a label's index, or -1 for a patient without labels. `any` is a patient's class only if no
        subtype is known.
    """
    count = np.where(labels, labels.sum(0), len(labels) + 1)
    count[:, 0] += labels[:, 0]  # a tie between `any` and its only subtype goes to the subtype
    return np.where(labels.any(1), count.argmin(1), -1)
