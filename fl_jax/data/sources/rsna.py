"""The folder of the RSNA 2019 Intracranial Hemorrhage Detection challenge, in its second stage.

    stage_2_train.csv                   ID,Label      one line an image and label:
                                        ID_12cadc6af_epidural,0
    stage_2_train/ID_12cadc6af.dcm      752,803 images; patient, study and series are in the headers

No hospital is public: all images are of one site, `rsna`. What the folder may get wrong, and what
happens then (the published one has each of the counted faults):

| fault | outcome |
|---|---|
| the first line is not `ID,Label`; a line has not two values | error |
| an ID does not end in one of the six labels, or its image is empty or holds a path | error |
| an image's file is a link out of its folder | error |
| a label is not 0 or 1 | error |
| an image lacks one of its six lines | error |
| a line stands twice with other labels | error |
| a line stands twice with the same label | one is dropped, counted |
| a subtype is 1 and `any` is 0 | `any` becomes 1, counted |
| a label without an image, an image without a label | left out, counted |
| two files of one image, `x.dcm` and `x.DCM` | error |
| a truncated image (`ID_6431af929.dcm`) | refused when it is read, counted; see `dicom` |
| the same picture under two patients | kept on one side of every split; see `duplicates` |
| Windows line ends, a byte-order mark, empty lines | accepted |

Labels are held as bits, two small integers' worth an image, and lines are not held at all.

References: Flanders et al., Construction of a Machine Learning Dataset through Collaboration: The
RSNA 2019 Brain CT Hemorrhage Challenge. Radiology: Artificial Intelligence 2020; 2:e190211.
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
    table,
    with_any,
)

SITE = "rsna"
TABLE, FOLDER = "stage_2_train.csv", "stage_2_train"
SIX = len(LABELS)
COMPLETE = 2**SIX - 1
TAKEN = -1
"""In place of the labels of an image whose file was met."""


def rsna(source: pathlib.Path) -> Listing:
    """Lists the challenge's folder; see the module's table for what is an error."""
    known, duplicates = read_long(source / TABLE)
    every = [tuple(bits >> label & 1 for label in range(SIX)) for bits in range(COMPLETE + 1)]
    folder = source / FOLDER
    items: list[Item] = []
    without_label = repaired = 0
    for name in file_names(folder, f"unpack the challenge's images into {FOLDER}/"):
        image = image_of(name)
        bits = known.get(image)
        if bits is None:
            without_label += 1
            continue
        if bits == TAKEN:
            raise ValueError(f"{folder}: {name} is image {image!r}, and so is another; keep one")
        known[image] = TAKEN
        labels = every[bits & COMPLETE]
        repaired += with_any(labels) != labels
        items.append(Item(f"{folder}/{name}", image, SITE, with_any(labels)))
    counts = {
        "duplicate_labels": duplicates,
        "any_repaired": repaired,
        "labels_without_image": len(known) - len(items),
        "images_without_label": without_label,
    }
    return Listing(items, {SITE: counts}, digest(items))


def read_long(path: pathlib.Path) -> tuple[dict[str, int], int]:
    """Reads the challenge's long table.

    Args:
        path: the file.

    Returns:
        By image an integer whose bit l is label l and whose bit 6 + l says that it was given (all
        are), and the number of lines that were dropped as repeats.

    Raises:
        ValueError: a fault of the module's table, with file, line, value and remedy.
    """
    with table(path, "the images and their labels") as lines:
        found, duplicates = _parse(path, lines)
    for image, bits in found.items():
        check_image(str(path), image)
        if bits >> SIX != COMPLETE:
            lacking = [label for n, label in enumerate(LABELS) if not bits >> SIX + n & 1]
            raise ValueError(
                f"{path}: image {image!r} has no line for {', '.join(lacking)}; "
                f"give {', '.join(f'{image}_{label},0 or 1' for label in lacking)}"
            )
    return found, duplicates


def _parse(path: pathlib.Path, lines: Iterator[list[str]]) -> tuple[dict[str, int], int]:
    header = next((row for row in lines if row), [])
    if [cell.strip() for cell in header] != ["ID", "Label"]:
        raise ValueError(f"{path}, line 1: the header is {','.join(header)!r}; it must be ID,Label")
    # The label's `given` bit, and with its value: what a line says in one look-up.
    says = {
        (label, value): 1 << SIX + n | int(value) << n
        for n, label in enumerate(LABELS)
        for value in ("0", "1")
    }
    found: dict[str, int] = {}
    get, duplicates = found.get, 0
    for number, row in enumerate(lines, 2):
        if not row:
            continue
        try:
            key, value = row
            image, _, label = key.rpartition("_")
            new = says[label, value]
        except (ValueError, KeyError):
            new, image = _odd(f"{path}, line {number}", row, says)
        bits = get(image, 0)
        given = new >> SIX << SIX
        if bits & given:
            if (bits ^ new) & given >> SIX:
                raise ValueError(
                    f"{path}, line {number}: {','.join(row)} contradicts an earlier line of "
                    f"image {image!r}; decide which is right and keep one line"
                )
            duplicates += 1
        found[image] = bits | new
    return found, duplicates


def _odd(where: str, row: list[str], says: dict[tuple[str, str], int]) -> tuple[int, str]:
    """A line with blanks around its values, or an error that says what is wrong with it."""
    if len(row) != 2:
        raise ValueError(f"{where}: {len(row)} values, not 2; write <image>_<label>,0 or 1")
    key, value = (cell.strip() for cell in row)
    image, _, label = key.rpartition("_")
    if label not in LABELS:
        raise ValueError(f"{where}: ID is {key!r}; it must end in one of _{', _'.join(LABELS)}")
    if value not in ("0", "1"):
        raise ValueError(f"{where}: Label is {value!r}; give 0 or 1")
    return says[label, value], image
