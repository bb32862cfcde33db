"""Counts what a build reads, per site, and stops a build whose dataset would be invalid."""

import pathlib
from collections import Counter

from fl_jax.core.types import LABELS
from fl_jax.data import dicom, duplicates, sources
from fl_jax.data.metadata import Positives, SiteCounts
from fl_jax.data.names import check_name
from fl_jax.data.pseudonyms import without_id
from fl_jax.files import csv_table


class TooManyRefusedError(ValueError):
    """More files were refused than `max_refused` permits."""


class Counts:
    """Per-site counts of slices, refusals, repairs and shared pictures.

    Args:
        listing: the source.
        max_refused: the largest permitted share of refused files, in [0, 1].
    """

    def __init__(self, listing: sources.Listing, max_refused: float):
        self.total = len(listing.items)
        self.allowed = max_refused * self.total
        self.listed = listing.counts
        self.refused: list[tuple[str, dicom.Refusal]] = []
        self.repairs = {site: Counter() for site in listing.counts}
        self.positives = {site: dict.fromkeys(LABELS, 0) for site in listing.counts}
        self.studies: dict[str, set[str]] = {site: set() for site in listing.counts}
        self.first: dict[str, sources.Item] = {}  # the first slice of each patient
        self._interned: dict[str, str] = {}  # one object per patient, not per slice
        self.slices = Counter()
        self.pictures = duplicates.PictureDigests()
        self.items: list[sources.Item] = []
        self.patients: list[str] = []
        self.copies: list[duplicates.Copy] = []

    def refuse(self, item: sources.Item, refusal: dicom.Refusal) -> None:
        """Counts a refused file."""
        self.refused.append((item.site, refusal))

    def accept(self, item: sources.Item, read: dicom.Slice) -> None:
        """Counts a slice.

        Raises:
            ValueError: its name contains its Patient ID, or its patient also occurs at another site.
        """
        first = self.first.setdefault(read.patient, item)
        here, there = (without_id(file.path, read.patient) for file in (item, first))
        check_name(item, read.patient)
        if first.site != item.site:
            raise ValueError(
                f"{there} at site {first.site!r} and {here} at site {item.site!r} have the same "
                f"Patient ID ({len(read.patient)} characters): a patient belongs to one site; change "
                "the ID in one of them, or remove one"
            )
        self.pictures.add(read.digest)
        self.items.append(item)
        self.patients.append(self._interned.setdefault(read.patient, read.patient))
        self.slices[item.site] += 1
        self.studies[item.site].add(read.study)
        self.repairs[item.site].update(repair.value for repair in read.repairs)
        for label, value in zip(LABELS, item.labels or (), strict=item.labels is not None):
            self.positives[item.site][label] += value

    def finish(self) -> None:
        """Links patients who share a picture.

        Raises:
            TooManyRefusedError: too many files were refused, or all.
            ValueError: linked patients are at two sites.
        """
        if len(self.refused) == self.total:
            raise TooManyRefusedError(f"no file of {self.total} could be read; {self._worst()}")
        if len(self.refused) > self.allowed:
            raise TooManyRefusedError(
                f"refused {len(self.refused)} of {self.total} files, more than max_refused "
                f"allows ({self.allowed:g}); {self._worst()}; see refused_failed.csv in data_dir, "
                "repair or remove the files, or raise max_refused"
            )
        self.copies = [
            duplicates.Copy(digest, self.items[row].image, self.patients[row], self.items[row].site)
            for row, digest in self.pictures.repeated().items()
        ]
        for patient, other in duplicates.linked_patients(self.copies).items():
            here, there = self.first[patient].site, self.first[other].site
            if here != there:
                shared = [copy for copy in self.copies if copy.patient in (patient, other)][:4]
                images = ", ".join(f"{copy.image!r} at site {copy.site!r}" for copy in shared)
                raise ValueError(
                    f"two patients, at site {there!r} and at site {here!r}, have the same picture "
                    f"(images {images}): no split could separate them; remove the images, or one of "
                    "the patients"
                )

    def _worst(self) -> str:
        """The commonest reason and its first files."""
        reason, count = Counter(refusal.reason for _, refusal in self.refused).most_common(1)[0]
        first = [refusal for _, refusal in self.refused if refusal.reason == reason][:3]
        shown = "; ".join(f"{refusal.path} ({refusal.detail})" for refusal in first)
        return f"most often as {reason.value!r} ({count}): {shown}"

    def write_refused(self, path: pathlib.Path) -> None:
        """Writes `refused.csv`: site, path, reason and detail of each refused file."""
        rows = ((site, r.path, r.reason.value, r.detail) for site, r in self.refused)
        csv_table.write(path, ("site", "path", "reason", "detail"), rows)

    def sites(self) -> dict[str, SiteCounts]:
        """The counts of each site, for `summary.json`."""
        patients = Counter(item.site for item in self.first.values())
        linked = duplicates.linked_patients(self.copies)
        sites: dict[str, SiteCounts] = {}
        for site, listed in self.listed.items():
            refused = Counter(r.reason.value for s, r in self.refused if s == site)
            sites[site] = SiteCounts(
                patients=patients[site],
                studies=len(self.studies[site]),
                slices=self.slices[site],
                positives=Positives(**self.positives[site]),
                refused=dict(sorted(refused.items())),
                repairs=dict(sorted(self.repairs[site].items())),
                shared_pictures=sum(copy.site == site for copy in self.copies),
                linked_patients=sum(self.first[patient].site == site for patient in linked),
                duplicate_labels=listed["duplicate_labels"],
                any_repaired=listed["any_repaired"],
                labels_without_image=listed["labels_without_image"],
                images_without_label=listed["images_without_label"],
            )
        return sites
