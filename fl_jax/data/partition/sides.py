"""Where each patient belongs, as a table in memory and as a file; no patient is ever on two sides."""

import csv
import pathlib
from collections.abc import Mapping
from typing import NamedTuple, Protocol

import numpy as np

from fl_jax.data.sources.listing import HOLDOUT, check_site, csv_lines
from fl_jax.files.atomic import whole

SPLITS = ("train", "validation", "test", HOLDOUT)
HEADER = ("patient", "site", "split")


class HasPatients(Protocol):
    """What a partition needs to know of a dataset; `slices.Slices` is one.

    Two attributes may be missing: `linked`, see the function of that name, and `dialect`, see
    `patients.gather`.

    Attributes:
        patient: str[N].
        site: str[N].
        labels: uint8[N, L] in {0, 1}.
    """

    @property
    def patient(self) -> np.ndarray: ...  # noqa: D102
    @property
    def site(self) -> np.ndarray: ...  # noqa: D102
    @property
    def labels(self) -> np.ndarray: ...  # noqa: D102


class Partition(NamedTuple):
    """Where each of P patients belongs; sorted by site, split, patient.

    Attributes:
        patient: str[P], each once.
        site: str[P].
        split: str[P] in `SPLITS`.
    """

    patient: np.ndarray
    site: np.ndarray
    split: np.ndarray

    @property
    def sites(self) -> tuple[str, ...]:
        """The training sites in alphabetical order, without the hold-out."""
        return tuple(sorted(set(self.site[self.split != HOLDOUT].tolist())))

    def rows(self, slices: HasPatients, split: str, site: str | None = None) -> np.ndarray:
        """The dataset's rows of one split, in the dataset's order.

        Args:
            slices: the dataset that this partition was made for.
            split: one of `SPLITS`.
            site: only this site's rows; None takes every site's.

        Returns:
            int64[n], rows of `slices`; empty where the split has none.

        Raises:
            ValueError: an unknown split or site, or a patient that the partition does not know.
        """
        if split not in SPLITS:
            raise ValueError(f"split is {split!r}: give one of {', '.join(SPLITS)}")
        if site is not None and site not in self.site:
            raise ValueError(f"site is {site!r}: this partition has {sorted(set(self.site))}")
        line = self._lines(slices)
        chosen = self.split == split
        if site is not None:
            chosen &= self.site == site
        return np.flatnonzero(chosen[line])

    def sites_of(self, slices: HasPatients) -> np.ndarray:
        """The site of each of the dataset's rows.

        Args:
            slices: the dataset that this partition was made for.

        Returns:
            str[N]; where sites are not the dataset's own, what takes the place of `slices.site`.

        Raises:
            ValueError: a patient that the partition does not know.
        """
        return self.site[self._lines(slices)]

    def _lines(self, slices: HasPatients) -> np.ndarray:
        """The line of each row's patient, int[N]."""
        line = {name: number for number, name in enumerate(self.patient.tolist())}
        names, inverse = np.unique(slices.patient, return_inverse=True)
        missing = [name for name in names.tolist() if name not in line]
        if missing:
            raise ValueError(
                f"patient {missing[0]!r} (of {len(missing)}) is not in the partition: "
                "it was made for another dataset; make it anew"
            )
        return np.array([line[name] for name in names.tolist()], int)[inverse]


def linked(slices: HasPatients) -> Mapping[str, str]:
    """Patients that must stay on one side, to a name of their set; empty where the dataset has none."""
    return getattr(slices, "linked", {})


def check_disjoint(
    partition: Partition, slices: HasPatients | None = None, *, own_sites: bool = True
) -> None:
    """Raises unless each patient has one site and one split; called on every build and load.

    Args:
        partition: what to check.
        slices: the dataset to check it against: same patients, linked ones on one side.
        own_sites: the sites must be the dataset's own, too.

    Raises:
        ValueError: a patient on two sides, an unknown split, a mixed-up hold-out, a patient whose
            site or presence differs from the dataset's, or linked patients in two splits.
    """
    _check_alone(partition)
    if slices is None:
        return
    columns = ("patient", "site") if own_sites else ("patient",)
    here = _distinct(*(getattr(slices, name) for name in columns))
    known = _distinct(*(getattr(partition, name) for name in columns))
    if here != known:
        patient, *site = min(here ^ known)
        at = f" at site {site[0]!r}" if site else ""
        side = "dataset" if (patient, *site) in here else "partition"
        raise ValueError(
            f"patient {patient!r}{at} is only in the {side}: partition and dataset "
            "do not belong together; make the partition anew"
        )
    split = dict(zip(partition.patient.tolist(), partition.split.tolist(), strict=True))
    first: dict[str, str] = {}
    for patient, group in linked(slices).items():
        other = first.setdefault(group, patient)
        if split[patient] != split[other]:
            raise ValueError(
                f"patient {patient!r} is in split {split[patient]!r} and patient {other!r} in "
                f"{split[other]!r}, but they share a picture: put them on one side"
            )


def _distinct(*columns: np.ndarray) -> set[tuple[str, ...]]:
    return set(zip(*(column.tolist() for column in columns), strict=True))


def _check_alone(partition: Partition) -> None:
    """What can be seen without the dataset."""
    names, counts = np.unique(partition.patient, return_counts=True)
    if (counts > 1).any():
        twice = partition.patient == names[np.argmax(counts)]
        sides = [p[1:] for p in zip(*(c[twice].tolist() for c in partition), strict=True)]
        raise ValueError(
            f"patient {str(names[np.argmax(counts)])!r} is on {len(sides)} sides of the partition, "
            f"{sides}: keep one line for each patient"
        )
    unknown = sorted(set(partition.split.tolist()) - set(SPLITS))
    if unknown:
        raise ValueError(f"split {unknown[0]!r} in the partition: give one of {', '.join(SPLITS)}")
    for site in sorted(set(partition.site.tolist())):
        splits = set(partition.split[partition.site == site].tolist())
        if HOLDOUT in splits and len(splits) > 1:
            raise ValueError(
                f"site {site!r} is partly held out ({sorted(splits)}): hold out whole sites"
            )


def save(partition: Partition, path: str | pathlib.Path) -> None:
    """Writes `patient,site,split`, one line a patient, whole or not at all."""
    with whole(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        writer.writerows(zip(*(column.tolist() for column in partition), strict=True))


def load(
    path: str | pathlib.Path, slices: HasPatients | None = None, *, own_sites: bool = True
) -> Partition:
    """Reads what `save` wrote, or a person edited, and checks it.

    Args:
        path: the CSV file.
        slices: the dataset that it must fit; None checks the file alone.
        own_sites: see `check_disjoint`.

    Returns:
        The partition, in the file's order.

    Raises:
        ValueError: not such a file, or `check_disjoint` objects.
    """
    with csv_lines(path) as lines:
        rows = [row for row in lines if row]
    if not rows or tuple(rows[0]) != HEADER:
        raise ValueError(f"{path}: the first line must be {','.join(HEADER)}")
    bad = [i for i, row in enumerate(rows, 1) if len(row) != 3 or not all(row)]
    if bad:
        raise ValueError(
            f"{path}, line {bad[0]}: {str(rows[bad[0] - 1])[:200]}: give patient,site,split"
        )
    for line, (patient, site, _) in enumerate(rows[1:], 2):
        check_site(f"{path}, line {line}: site", site)  # it becomes a folder's name
        if not patient.isprintable():
            raise ValueError(f"{path}, line {line}: patient {patient!r} holds control characters")
    columns = zip(*rows[1:], strict=True) if rows[1:] else ((), (), ())
    read = Partition(*(np.array(column, dtype=str) for column in columns))
    try:
        check_disjoint(read, slices, own_sites=own_sites)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return read
