"""What a build reads is counted by site, and a build that must not go on is stopped with a reason."""

import csv
import pathlib
from collections import Counter
from typing import NoReturn

from fl_jax.core.types import LABELS
from fl_jax.data import dicom, duplicates, sources
from fl_jax.data.index import Summary
from fl_jax.files.atomic import atomic_open


class RefusedError(ValueError):
    """More files were refused than `max_refused` allows."""


class Tally:
    """Counts what is read, per site, and stops the build at what must not go on."""

    def __init__(self, listing: sources.Listing, max_refused: float):
        self.total = len(listing.items)
        self.allowed = max_refused * self.total
        self.found = {site: Counter(counts) for site, counts in listing.counts.items()}
        self.refused: list[tuple[str, dicom.Refusal]] = []
        self.repairs = {site: Counter() for site in listing.counts}
        self.positives = {site: dict.fromkeys(LABELS, 0) for site in listing.counts}
        self.studies: dict[str, set[str]] = {site: set() for site in listing.counts}
        self.site_of: dict[str, str] = {}
        self._once: dict[str, str] = {}  # a patient's name is held once, not for each slice
        self.slices = Counter()
        self.pictures = duplicates.Pictures()
        self.items: list[sources.Item] = []
        self.patients: list[str] = []
        self.copies: list[duplicates.Copy] = []
        self.problem: ValueError | None = None

    def refuse(self, item: sources.Item, refusal: dicom.Refusal) -> None:
        """Counts a refusal."""
        self.refused.append((item.site, refusal))

    def finish(self) -> None:
        """Finds equal pictures; raises where they join two sites, and where too much was refused."""
        if len(self.refused) == self.total:
            self.stop(RefusedError(f"no file of {self.total} could be read; {self.worst()}"))
        if len(self.refused) > self.allowed:
            self.stop(
                RefusedError(
                    f"refused {len(self.refused)} of {self.total} files, more than max_refused "
                    f"allows ({self.allowed:g}); {self.worst()}; see refused.csv in data_dir, "
                    "repair or remove the files, or raise max_refused"
                )
            )
        self.copies = [
            duplicates.Copy(digest, self.items[row].image, self.patients[row], self.items[row].site)
            for row, digest in self.pictures.shared().items()
        ]
        self._check_sites()

    def _check_sites(self) -> None:
        """Raises where a picture is at two sites: patients there would be one patient."""
        for patient, first in duplicates.linked(self.copies).items():
            here, there = self.site_of[patient], self.site_of[first]
            if here != there:
                shared = [c for c in self.copies if c.patient in (patient, first)]
                images = ", ".join(repr(copy.image) for copy in shared[:4])
                self.stop(
                    ValueError(
                        f"patient {first!r} at site {there!r} and patient {patient!r} at site "
                        f"{here!r} have the same picture (images {images}): no split could part "
                        "them; remove the images, or one of the patients"
                    )
                )

    def worst(self) -> str:
        """The commonest reason and its first files."""
        reason, count = Counter(refusal.reason for _, refusal in self.refused).most_common(1)[0]
        first = [refusal for _, refusal in self.refused if refusal.reason == reason][:3]
        shown = "; ".join(f"{refusal.path} ({refusal.detail})" for refusal in first)
        return f"most often as {reason.value!r} ({count}): {shown}"

    def accept(self, item: sources.Item, read: dicom.Slice) -> None:
        """Counts a slice; raises if its patient was met at another site."""
        other = self.site_of.setdefault(read.patient, item.site)
        if other != item.site:
            self.stop(
                ValueError(
                    f"patient {read.patient!r} is at site {other!r} and at site {item.site!r} "
                    f"({item.path}): a patient belongs to one site; rename or remove one of them"
                )
            )
        self.pictures.add(read.hu)
        self.items.append(item)
        self.patients.append(self._once.setdefault(read.patient, read.patient))
        self.slices[item.site] += 1
        self.studies[item.site].add(read.study)
        self.repairs[item.site].update(repair.value for repair in read.repairs)
        for label, value in zip(LABELS, item.labels or (), strict=item.labels is not None):
            self.positives[item.site][label] += value

    def stop(self, problem: ValueError) -> NoReturn:
        """Raises, and remembers what, since TFDS wraps what a generator raises."""
        self.problem = problem
        raise problem

    def write_refused(self, path: pathlib.Path) -> None:
        """Writes which files were refused and why, also where the build then failed."""
        with atomic_open(path) as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("site", "path", "reason", "detail"))
            writer.writerows((site, r.path, r.reason.value, r.detail) for site, r in self.refused)

    def summary(self) -> Summary:
        """`summary.json` without its key."""
        patients = Counter(self.site_of.values())
        linked = duplicates.linked(self.copies)
        sites = {}
        for site, found in self.found.items():
            refused = Counter(r.reason.value for s, r in self.refused if s == site)
            sites[site] = {
                "patients": patients[site],
                "studies": len(self.studies[site]),
                "slices": self.slices[site],
                "positives": self.positives[site],
                "refused": dict(sorted(refused.items())),
                "repairs": dict(sorted(self.repairs[site].items())),
                "shared_pictures": sum(copy.site == site for copy in self.copies),
                "linked_patients": sum(self.site_of[patient] == site for patient in linked),
            } | dict(found)
        return {"refused": len(self.refused) / self.total, "sites": sites}
