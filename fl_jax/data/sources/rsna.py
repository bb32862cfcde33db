"""Layout `rsna`: stage 2 of the RSNA 2019 Intracranial Hemorrhage Detection challenge.

    stage_2_train.csv                   ID,Label      one row per image and label:
                                        ID_12cadc6af_epidural,0
    stage_2_train/ID_12cadc6af.dcm      752,803 images; patient, study and series are in the headers

The challenge does not publish hospitals, so all images belong to one site, `rsna`. Faults and outcomes (the
published data has each of the counted ones):

| fault | outcome |
|---|---|
| the first line is not `ID,Label`; a row does not have two values | error |
| an ID does not end in one of the six labels, or its image is empty or contains a path | error |
| an image's file is a link out of its folder | error |
| a label is not 0 or 1 | error |
| an image lacks one of its six rows | error |
| a row repeats with another label | error |
| a row repeats with the same label | dropped, counted |
| a subtype is 1 and `any` is 0 | `any` set to 1, counted |
| a label without an image, an image without a label | left out, counted |
| two files of one image, `x.dcm` and `x.DCM` | error |
| a truncated image (`ID_6431af929.dcm`) | refused when it is read, counted; see `dicom` |
| one picture under two patients | both patients get the same split; see `duplicates` |
| Windows line ends, a byte-order mark, empty lines | accepted |

Labels are bits of one small integer per image; rows are streamed.

Reference: Flanders et al., "Construction of a Machine Learning Dataset through Collaboration: The RSNA 2019
Brain CT Hemorrhage Challenge", Radiology: Artificial Intelligence 2020; 2:e190211.
"""

import pathlib
from collections.abc import Iterator

from fl_jax.core.types import LABELS
from fl_jax.data.sources.listing import (
    Item,
    Listing,
    check_image,
    digest,
    file_names,
    image_of,
    label_rows,
    shown,
    with_any,
)

SITE = "rsna"
TABLE, FOLDER = "stage_2_train.csv", "stage_2_train"
SIX = len(LABELS)
COMPLETE = 2**SIX - 1
LISTED = -1
"""Replaces an image's bits once its file is listed, to detect a second file."""


def rsna(source: pathlib.Path) -> Listing:
    """Lists the challenge's folder.

    Raises:
        ValueError: an error of the module's table.
    """
    bits_of, duplicates = read_long(source / TABLE)
    decoded = [tuple(bits >> label & 1 for label in range(SIX)) for bits in range(COMPLETE + 1)]
    folder = source / FOLDER
    items: list[Item] = []
    without_label = repaired = 0
    for name in file_names(folder, f"unpack the challenge's images into {FOLDER}/"):
        image = image_of(name)
        bits = bits_of.get(image)
        if bits is None:
            without_label += 1
            continue
        if bits == LISTED:
            raise ValueError(f"{folder}: {name} is image {image!r}, and so is another; keep one")
        bits_of[image] = LISTED
        labels = decoded[bits & COMPLETE]
        repaired += with_any(labels) != labels
        items.append(Item(f"{folder}/{name}", image, SITE, with_any(labels)))
    counts = {
        "duplicate_labels": duplicates,
        "any_repaired": repaired,
        "labels_without_image": len(bits_of) - len(items),
        "images_without_label": without_label,
    }
    return Listing(items, {SITE: counts}, digest(items))


def read_long(path: pathlib.Path) -> tuple[dict[str, int], int]:
    """Reads the challenge's long table.

    Args:
        path: the file.

    Returns:
        An integer per image, whose bit l is label l and whose bit 6 + l says that label l is present (all
        are); and the number of repeated rows that were dropped.

    Raises:
        ValueError: an error of the module's table, with file, line, value and remedy.
    """
    with label_rows(path) as rows:
        bits_of, duplicates = _parse(path, rows)
    for image, bits in bits_of.items():
        check_image(str(path), image)
        if bits >> SIX != COMPLETE:
            lacking = [label for n, label in enumerate(LABELS) if not bits >> SIX + n & 1]
            raise ValueError(
                f"{path}: image {image!r} has no line for {', '.join(lacking)}; "
                f"give {', '.join(f'{image}_{label},0 or 1' for label in lacking)}"
            )
    return bits_of, duplicates


def _parse(path: pathlib.Path, rows: Iterator[list[str]]) -> tuple[dict[str, int], int]:
    header = next((row for row in rows if row), [])
    if [cell.strip() for cell in header] != ["ID", "Label"]:
        raise ValueError(f"{path}, line 1: the first line must be ID,Label")
    # The label's `present` bit and its value: what a row means, in one look-up.
    meaning = {
        (label, value): 1 << SIX + n | int(value) << n
        for n, label in enumerate(LABELS)
        for value in ("0", "1")
    }
    bits_of: dict[str, int] = {}
    get, duplicates = bits_of.get, 0
    for number, row in enumerate(rows, 2):
        if not row:
            continue
        try:
            key, value = row
            image, _, label = key.rpartition("_")
            new = meaning[label, value]
        except (ValueError, KeyError):
            new, image = _irregular(f"{path}, line {number}", row, meaning)
        bits = get(image, 0)
        present = new >> SIX << SIX
        if bits & present:
            if (bits ^ new) & present >> SIX:
                raise ValueError(
                    f"{path}, line {number}: {','.join(row)} contradicts an earlier line of "
                    f"image {image!r}; decide which is right and keep one line"
                )
            duplicates += 1
        bits_of[image] = bits | new
    return bits_of, duplicates


def _irregular(where: str, row: list[str], meaning: dict[tuple[str, str], int]) -> tuple[int, str]:
    """Parses a row with blanks around its values, or raises ValueError."""
    if len(row) != 2:
        raise ValueError(f"{where}: {len(row)} values, not 2; write <image>_<label>,0 or 1")
    key, value = (cell.strip() for cell in row)
    image, _, label = key.rpartition("_")
    if label not in LABELS:
        raise ValueError(f"{where}: ID is {key!r}; it must end in one of _{', _'.join(LABELS)}")
    if value not in ("0", "1"):
        raise ValueError(f"{where}: Label is {shown(value)}; give 0 or 1")
    return meaning[label, value], image
