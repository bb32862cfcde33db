"""A partition sends every patient to one site and to one split, and never to two.

Within a site the patients are dealt into train, validation and test so that each label's positive
patients follow the same fractions, as well as their number allows. The rarest label is dealt
first, each patient to the split that lacks it most:

    lack[split, label] = share(positives[label])[split] - dealt[split, label]

`share` rounds the fractions of a number of patients to whole patients by largest remainder, at least
one for each split where there are three. The sizes of the splits are fixed by it beforehand, so a
tiny site keeps three splits, and a label that three patients have reaches all three as far as other
labels leave room. The hold-out site is one split of its own.

References:
    Sechidis, Tsoumakas, Vlahavas: On the Stratification of Multi-label Data. ECML PKDD 2011.
"""

import csv
import dataclasses
import functools
import os
import pathlib
import zlib
from collections.abc import Callable
from typing import Any, Concatenate, NamedTuple, ParamSpec, Protocol

import numpy as np

SPLITS = ("train", "validation", "test", "holdout")
HEADER = ("patient", "site", "split")
Options = ParamSpec("Options")


class HasPatients(Protocol):
    """What a partition needs to know of a dataset; `builder.Slices` is one.

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
        return tuple(sorted(set(self.site[self.split != "holdout"].tolist())))

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
        where = dict(
            zip(self.patient.tolist(), zip(self.site, self.split, strict=True), strict=True)
        )
        names, inverse = np.unique(slices.patient, return_inverse=True)
        missing = [name for name in names.tolist() if name not in where]
        if missing:
            raise ValueError(
                f"patient {missing[0]!r} (of {len(missing)}) is not in the partition: "
                "it was made for another dataset; make it anew"
            )
        chosen = [where[n][1] == split and site in (None, where[n][0]) for n in names.tolist()]
        return np.flatnonzero(np.array(chosen, bool)[inverse])


def linked_together(
    make: Callable[Concatenate[Any, Options], Partition],
) -> Callable[Concatenate[Any, Options], Partition]:
    """Decorates what makes a partition: patients that share a picture are one patient to it.

    They are `slices.linked`, see `duplicates.linked`; a dataset without that field has none.
    """

    @functools.wraps(make)
    def made(slices: Any, *args: Options.args, **options: Options.kwargs) -> Partition:
        linked = _linked(slices)
        if not linked:
            return make(slices, *args, **options)
        names = np.array([linked.get(patient, patient) for patient in slices.patient.tolist()])
        united = make(dataclasses.replace(slices, patient=names, linked={}), *args, **options)
        members: dict[str, list[str]] = {}
        for patient, name in linked.items():
            members.setdefault(name, []).append(patient)
        lines = [
            (site, SPLITS.index(split), patient)
            for name, site, split in zip(*(column.tolist() for column in united), strict=True)
            for patient in members.get(name, [name])
        ]
        site, split, patient = zip(*sorted(lines), strict=True)
        spread = Partition(np.array(patient), np.array(site), np.array(SPLITS)[list(split)])
        check_disjoint(spread, slices)
        return spread

    return made


def _linked(slices: Any) -> dict[str, str]:
    return getattr(slices, "linked", {})


@linked_together
def by_patient(
    slices: HasPatients,
    *,
    fractions: tuple[float, float, float] = (0.7, 0.15, 0.15),
    seed: int,
    holdout: str = "holdout",
) -> Partition:
    """Splits each site's patients into train, validation and test, stratified by label.

    Guarantees:
        A patient is in one site and one split, and so are patients that share a picture. Each split
        of each site has a patient. The result depends on the set of patients, their labels, and the
        seed; not on the order of the rows.

    Args:
        slices: the dataset.
        fractions: of a site's patients in train, validation, test; positive, summing to 1.
        seed: decides who goes where among equals.
        holdout: the site whose patients all go to the split `holdout`; it may be absent.

    Returns:
        The partition.

    Raises:
        ValueError: bad fractions, no labels, a site with fewer than three patients, or a patient at
            two sites.
    """
    if len(fractions) != 3 or min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-6:
        raise ValueError(
            f"fractions is {fractions}: give three positive numbers (train, validation, test) "
            "that sum to 1"
        )
    if slices.labels.min(initial=0) < 0:
        raise ValueError(
            "slices has no labels: it is for inference only; take a source with labels"
        )
    names, first, inverse = np.unique(slices.patient, return_index=True, return_inverse=True)
    sites = slices.site[first]
    elsewhere = np.flatnonzero(slices.site != sites[inverse])
    if elsewhere.size:
        row = elsewhere[0]
        raise ValueError(
            f"patient {str(slices.patient[row])!r} is at site {str(sites[inverse[row]])!r} and at "
            f"site {str(slices.site[row])!r}: a patient belongs to one site; rename or remove one of them"
        )
    labels = np.zeros((len(names), slices.labels.shape[1]), bool)
    np.logical_or.at(labels, inverse, slices.labels > 0)
    split = np.full(len(names), "holdout", dtype="<U10")
    for site in sorted(set(sites.tolist()) - {holdout}):
        here = np.flatnonzero(sites == site)
        if len(here) < 3:
            raise ValueError(
                f"site {site!r} has {len(here)} patients: train, validation and test need at "
                "least 3; merge it with another site or leave it out"
            )
        rng = np.random.default_rng([seed, zlib.crc32(site.encode())])
        split[here] = np.array(SPLITS)[_deal(labels[here], np.array(fractions), rng)]
    order = np.lexsort((names, np.array([SPLITS.index(s) for s in split]), sites))
    made = Partition(names[order], sites[order], split[order])
    check_disjoint(made, slices)
    return made


def _deal(labels: np.ndarray, fractions: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """int[P] in {0, 1, 2} for bool[P, L]; sizes are exact, labels as even as that allows."""
    room = _share(len(labels), fractions)
    lack = np.stack([_share(count, fractions) for count in labels.sum(0)], axis=1)
    given = np.full(len(labels), -1)
    order = rng.permutation(len(labels))
    while (given < 0).any():
        left = order[given[order] < 0]
        counts = labels[left].sum(0)
        rare = np.argmin(np.where(counts > 0, counts, np.iinfo(int).max)) if counts.any() else None
        for patient in left if rare is None else left[labels[left, rare]]:
            need = room / fractions if rare is None else lack[:, rare]
            split = max(np.flatnonzero(room), key=lambda s, need=need: (need[s], room[s]))
            given[patient] = split
            room[split] -= 1
            lack[split] -= labels[patient]
    return given


def _share(patients: int, fractions: np.ndarray) -> np.ndarray:
    """int[3] that sums to `patients`: largest remainder, each at least 1 from three patients on."""
    sizes = np.floor(patients * fractions).astype(int)
    short = np.argsort(-(patients * fractions - sizes), kind="stable")
    sizes[short[: patients - sizes.sum()]] += 1
    while patients >= 3 and sizes.min() < 1:
        sizes[np.argmax(sizes)] -= 1
        sizes[np.argmin(sizes)] += 1
    return sizes


def check_disjoint(partition: Partition, slices: HasPatients | None = None) -> None:
    """Raises unless each patient has one site and one split; called on every build and load.

    Args:
        partition: what to check.
        slices: the dataset to check it against: same patients, at the same sites.

    Raises:
        ValueError: a patient on two sides, an unknown split, a mixed-up hold-out, a patient whose
            site or presence differs from the dataset's, or linked patients in two splits.
    """
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
        if "holdout" in splits and len(splits) > 1:
            raise ValueError(
                f"site {site!r} is partly held out ({sorted(splits)}): hold out whole sites"
            )
    if slices is None:
        return
    pairs = set(zip(slices.patient.tolist(), slices.site.tolist(), strict=True))
    known = set(zip(partition.patient.tolist(), partition.site.tolist(), strict=True))
    if pairs != known:
        patient, site = min(pairs ^ known)
        side = "dataset" if (patient, site) in pairs else "partition"
        raise ValueError(
            f"patient {patient!r} at site {site!r} is only in the {side}: partition and dataset "
            "do not belong together; make the partition anew"
        )
    split = dict(zip(partition.patient.tolist(), partition.split.tolist(), strict=True))
    for patient, first in _linked(slices).items():
        if split[patient] != split[first]:
            raise ValueError(
                f"patient {patient!r} is in split {split[patient]!r} and patient {first!r} in "
                f"{split[first]!r}, but they share a picture (see duplicates.csv of the dataset): "
                "put them on one side"
            )


def save(partition: Partition, path: str | pathlib.Path) -> None:
    """Writes `patient,site,split`, one line a patient, whole or not at all."""
    path = pathlib.Path(path)
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        writer.writerows(zip(*(column.tolist() for column in partition), strict=True))
    os.replace(partial, path)


def load(path: str | pathlib.Path, slices: HasPatients | None = None) -> Partition:
    """Reads what `save` wrote, or a person edited, and checks it.

    Args:
        path: the CSV file.
        slices: the dataset that it must fit; None checks the file alone.

    Returns:
        The partition, in the file's order.

    Raises:
        ValueError: not such a file, or `check_disjoint` objects.
    """
    with open(path, newline="", encoding="utf-8-sig") as file:
        rows = [row for row in csv.reader(file) if row]
    if not rows or tuple(rows[0]) != HEADER:
        raise ValueError(f"{path}: the first line must be {','.join(HEADER)}")
    bad = [i for i, row in enumerate(rows, 1) if len(row) != 3 or not all(row)]
    if bad:
        raise ValueError(f"{path}, line {bad[0]}: {rows[bad[0] - 1]}: give patient,site,split")
    columns = zip(*rows[1:], strict=True) if rows[1:] else ((), (), ())
    read = Partition(*(np.array(column, dtype=str) for column in columns))
    try:
        check_disjoint(read, slices)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return read
