"""`Partition`, a table of each patient's site and split, in memory and as `partition.csv`."""

import pathlib
from collections.abc import Mapping
from typing import NamedTuple, Protocol

import numpy as np

from fl_jax.data.site_names import HOLDOUT, check_site
from fl_jax.files import csv_table

SPLITS = ("train", "validation", "test", HOLDOUT)
HEADER = ("patient", "site", "split")


class HasPatients(Protocol):
    """What a partition needs of a dataset; `slices.Slices` has it.

    Two attributes are optional: `linked`, see `linked`, and `dialect`, see `patients.gather`.

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
    """Site and split of each of P patients, sorted by site, split, patient.

    Attributes:
        patient: str[P], unique.
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
        """The dataset's rows in one split.

        Args:
            slices: the dataset that this partition was made for.
            split: one of `SPLITS`.
            site: restricts the result to one site; None takes all.

        Returns:
            int64[n], ascending; empty if the split is empty.

        Raises:
            ValueError: an unknown split or site, or a patient that the partition lacks.
        """
        if split not in SPLITS:
            raise ValueError(f"split is {split!r}: give one of {', '.join(SPLITS)}")
        if site is not None and site not in self.site:
            raise ValueError(f"site is {site!r}: this partition has {sorted(set(self.site))}")
        at = self._positions(slices)
        chosen = self.split == split
        if site is not None:
            chosen &= self.site == site
        return np.flatnonzero(chosen[at])

    def sites_of(self, slices: HasPatients) -> np.ndarray:
        """The site of each of the dataset's rows, str[N]; a scheme may differ from `slices.site`.

        Args:
            slices: the dataset that this partition was made for.

        Raises:
            ValueError: a patient that the partition lacks.
        """
        return self.site[self._positions(slices)]

    def _positions(self, slices: HasPatients) -> np.ndarray:
        """int[N], the position of each row's patient in this table."""
        position = {name: number for number, name in enumerate(self.patient.tolist())}
        names, inverse = np.unique(slices.patient, return_inverse=True)
        missing = [name for name in names.tolist() if name not in position]
        if missing:
            raise ValueError(
                f"patient {missing[0]!r} (of {len(missing)}) is not in the partition: "
                "it was made for another dataset; make it anew"
            )
        return np.array([position[name] for name in names.tolist()], int)[inverse]


def linked(slices: HasPatients) -> Mapping[str, str]:
    """Maps patients that must share a split to the name of their group; empty if there are none."""
    return getattr(slices, "linked", {})


def check_disjoint(
    partition: Partition, slices: HasPatients | None = None, *, same_sites: bool = True
) -> None:
    """Checks that each patient has one site and one split. Runs whenever a partition is made or loaded.

    Args:
        partition: the partition.
        slices: the dataset it must match: same patients, linked ones in one split.
        same_sites: the sites must be the dataset's, too.

    Raises:
        ValueError: a patient in two places, an unknown split, a site that is only partly held out, a patient
            whose site or presence differs from the dataset's, or linked patients in two splits.
    """
    _check_alone(partition)
    if slices is None:
        return
    columns = ("patient", "site") if same_sites else ("patient",)
    in_dataset = _distinct(*(getattr(slices, name) for name in columns))
    in_partition = _distinct(*(getattr(partition, name) for name in columns))
    if in_dataset != in_partition:
        patient, *site = min(in_dataset ^ in_partition)
        at = f" at site {site[0]!r}" if site else ""
        where = "dataset" if (patient, *site) in in_dataset else "partition"
        raise ValueError(
            f"patient {patient!r}{at} is only in the {where}: partition and dataset "
            "do not belong together; make the partition anew"
        )
    split = dict(zip(partition.patient.tolist(), partition.split.tolist(), strict=True))
    first: dict[str, str] = {}
    for patient, group in linked(slices).items():
        other = first.setdefault(group, patient)
        if split[patient] != split[other]:
            raise ValueError(
                f"patient {patient!r} is in split {split[patient]!r} and patient {other!r} in "
                f"{split[other]!r}, but they share a picture: put both in one split"
            )


def _distinct(*columns: np.ndarray) -> set[tuple[str, ...]]:
    return set(zip(*(column.tolist() for column in columns), strict=True))


def _check_alone(partition: Partition) -> None:
    """Checks what does not need the dataset."""
    names, counts = np.unique(partition.patient, return_counts=True)
    if (counts > 1).any():
        twice = partition.patient == names[np.argmax(counts)]
        places = [p[1:] for p in zip(*(c[twice].tolist() for c in partition), strict=True)]
        raise ValueError(
            f"patient {str(names[np.argmax(counts)])!r} has {len(places)} lines in the partition, "
            f"{places}: keep one line for each patient"
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
    """Writes `patient,site,split`, one row per patient, atomically."""
    csv_table.write(path, HEADER, zip(*(column.tolist() for column in partition), strict=True))


def load(
    path: str | pathlib.Path, slices: HasPatients | None = None, *, same_sites: bool = True
) -> Partition:
    """Reads and checks a partition that `save` or a person wrote.

    Args:
        path: the CSV file.
        slices: the dataset it must match; None checks the file alone.
        same_sites: see `check_disjoint`.

    Returns:
        The partition, in the file's order.

    Raises:
        ValueError: not a partition file, or an error of `check_disjoint`.
    """
    with csv_table.rows(path) as lines:
        rows = [row for row in lines if row]
    if not rows or tuple(rows[0]) != HEADER:
        raise ValueError(f"{path}: the first line must be {','.join(HEADER)}")
    bad = [i for i, row in enumerate(rows, 1) if len(row) != 3 or not all(row)]
    if bad:
        raise ValueError(
            f"{path}, line {bad[0]}: {str(rows[bad[0] - 1])[:200]}: give patient,site,split"
        )
    for line, (patient, site, _) in enumerate(rows[1:], 2):
        check_site(f"{path}, line {line}: site", site)
        if not patient.isprintable():
            raise ValueError(f"{path}, line {line}: patient {patient!r} has control characters")
    columns = zip(*rows[1:], strict=True) if rows[1:] else ((), (), ())
    partition = Partition(*(np.array(column, dtype=str) for column in columns))
    try:
        check_disjoint(partition, slices, same_sites=same_sites)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return partition
