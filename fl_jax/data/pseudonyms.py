"""Datasets contain no personal identifiers: patients, studies and series are numbered in sorted order.

    patient, sorted by Patient ID        -> p001, p002, ...
    study, sorted by Study Instance UID  -> study0001, ...
    series likewise                      -> series0001, ...

Numbering keeps groups and order, hence everything that a seed decides. Unlike a hash, a number cannot be
tested against guessed identifiers. No table leads back, and no identifier is ever on disk, so that a killed
build leaves none. Names, birth dates and accession numbers are never read.

Files keep the names that the user gave them, because an image's name joins labels, predictions and files. So
a name must not contain its patient's ID; `launch.deidentify` renames such files. Messages and `refused.csv`
name files by their path, with `[PatientID]` in place of the ID if the header can be read. Anything else that
a path says stays.
"""

import pathlib
import re

from fl_jax.files import csv_table

SHORT = 4
"""A shorter ID is too common for its occurrence in a file's name to mean anything."""
PREFIXES = ("p", "study", "series")
"""Of the numbers of patients, studies and series."""


def without_id(name: str, patient: str) -> str:
    """A name or path with `[PatientID]` in place of an ID that is not merely part of a longer number."""
    if len(patient) < SHORT or patient.casefold() not in name.casefold():
        return name
    before = r"(?<!\d)" if patient[0].isdigit() else ""
    after = r"(?!\d)" if patient[-1].isdigit() else ""
    return re.sub(before + re.escape(patient) + after, "[PatientID]", name, flags=re.IGNORECASE)


class Numbers:
    """Numbers the patients, studies and series of a dataset while its index is written."""

    def __init__(self) -> None:
        self._places: tuple[dict[str, int], ...] = ({}, {}, {})

    def provisional(self, patient: str, study: str, series: str) -> tuple[int, ...]:
        """Each identifier's place in the order of first occurrence, for the index until `rewrite`."""
        pairs = zip(self._places, (patient, study, series), strict=True)
        return tuple(places.setdefault(value, len(places)) for places, value in pairs)

    def rewrite(self, index: pathlib.Path) -> None:
        """Replaces the provisional numbers in columns 2 to 4 of an `index.csv` by the final ones."""
        columns = [[*self._final(which).values()] for which in range(len(PREFIXES))]
        with csv_table.rows(index) as rows:
            header = next(rows)
            final = (
                (image, *(c[int(n)] for c, n in zip(columns, numbers, strict=True)), *rest)
                for image, *numbers, rest in ((*row[:4], row[4:]) for row in rows)
            )
            csv_table.write(index, header, final)

    def patients(self) -> dict[str, str]:
        """Maps Patient IDs to final numbers; never store it."""
        return self._final(0)

    def _final(self, which: int) -> dict[str, str]:
        """Final numbers by identifier, in the order of first occurrence."""
        values, prefix = self._places[which], PREFIXES[which]
        width = len(str(len(values)))
        places = {value: place for place, value in enumerate(sorted(values), 1)}
        return {value: f"{prefix}{places[value]:0{width}d}" for value in values}
