"""A model's predictions as one long CSV, from which every statistic is computed.

Six rows per image, one for each label, in any order:

    Image,subtype,pred_label,ground_truth,patient,site,split

`pred_label` is a probability in [0, 1] with nine digits, which float32 survives exactly, so statistics of the
file equal statistics of the arrays. `split` is validation, test or holdout. The first four columns are those
of the published study's files; `patient` is the unit of resampling. A file of another program that is read
together with known predictions (`known`) may omit the columns of `KNOWN`.
"""

import os
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fl_jax.core.types import LABELS
from fl_jax.data.site_names import ALL_SITES, HOLDOUT
from fl_jax.files import csv_table
from fl_jax.files.atomic import atomic_open
from fl_jax.files.csv_table import Columns, number, refuse
from fl_jax.files.text import NAME, is_name

COLUMNS = ("Image", "subtype", "pred_label", "ground_truth", "patient", "site", "split")
KNOWN = ("ground_truth", "patient", "site", "split")
"""Columns that follow from the image alone."""
SPLITS = ("validation", "test", HOLDOUT)


class Predictions(NamedTuple):
    """One model's predictions for N images and L labels, in the order of `types.LABELS`.

    Attributes:
        image: str[N], unique.
        patient: str[N].
        site: str[N]; `HOLDOUT` for the pooled hold-out.
        split: str[N] in `SPLITS`.
        truth: uint8[N, L] in {0, 1}.
        scores: float64[N, L], probabilities in [0, 1].
    """

    image: NDArray[np.str_]
    patient: NDArray[np.str_]
    site: NDArray[np.str_]
    split: NDArray[np.str_]
    truth: NDArray[np.uint8]
    scores: NDArray[np.float64]


def select(predictions: Predictions, rows: NDArray) -> Predictions:
    """Selects images by bool[N], or by int[M] row numbers in the wanted order."""
    return Predictions._make(field[rows] for field in predictions)


def align(models: Mapping[str, Predictions]) -> dict[str, Predictions]:
    """Sorts the images of every model's predictions on one data set and checks that they are the same.

    Raises:
        ValueError: two models differ in their images or in an image's truth, patient, site or split.
    """
    ordered = {name: select(data, np.argsort(data.image)) for name, data in models.items()}
    first = next(iter(ordered), "")
    for name, data in ordered.items():
        for field in ("image", "patient", "site", "split", "truth"):
            if not np.array_equal(getattr(data, field), getattr(ordered[first], field)):
                raise ValueError(
                    f"the models {first!r} and {name!r} differ in {field!r} on the same data: "
                    "predict again for both from the same dataset"
                )
    return ordered


def write(path: str | os.PathLike[str], predictions: Predictions) -> None:
    """Writes the long CSV atomically; raises ValueError for a field that `read` would refuse."""
    _check(path, predictions)
    with atomic_open(path) as file:
        writer = csv_table.writer(file)
        writer.writerow(COLUMNS)
        for image, patient, site, split, truth, scores in zip(
            *(field.tolist() for field in predictions), strict=True
        ):
            writer.writerows(
                (image, label, f"{score:.9g}", positive, patient, site, split)
                for label, score, positive in zip(LABELS, scores, truth, strict=True)
            )


def _check(path: str | os.PathLike[str], predictions: Predictions) -> None:
    count = len(predictions.image)
    for name, field in zip(Predictions._fields, predictions, strict=True):
        shape = (count, len(LABELS)) if name in ("truth", "scores") else (count,)
        if field.shape != shape:
            raise ValueError(f"{path}: predictions.{name} has shape {field.shape}, not {shape}")
    if np.unique(predictions.image).size != count:
        raise ValueError(f"{path}: predictions.image holds an image twice; write each image once")
    unknown = np.setdiff1d(predictions.split, SPLITS)
    if unknown.size:
        raise ValueError(
            f"{path}: predictions.split holds {str(unknown[0])!r}; use one of {SPLITS}"
        )
    if not np.isin(predictions.truth, (0, 1)).all():
        raise ValueError(f"{path}: predictions.truth holds a value other than 0 and 1")
    if not ((predictions.scores >= 0) & (predictions.scores <= 1)).all():
        raise ValueError(
            f"{path}: predictions.scores holds NaN or a value outside [0, 1]; write probabilities "
            "(a logit goes through a sigmoid first)"
        )


def read(path: str | os.PathLike[str], known: Predictions | None = None) -> Predictions:
    """Reads and checks the long CSV.

    Args:
        path: file of `write`, or of another program in the same format; extra columns are ignored.
        known: predictions for the same images. The file may then omit the columns of `KNOWN`, must agree with
            `known`, and must contain all its test and hold-out images; validation images may differ, as every
            program chooses its own operating points.

    Returns:
        The predictions, images in order of first appearance.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: with file, line, value and remedy: a column or label is missing or unknown, a row has the
            wrong length, a score is no probability, a truth is not 0 or 1, a split is unknown, an image and
            label are repeated, rows of one image disagree, a patient is in two sites or splits, or the file
            disagrees with `known`.
    """
    required = COLUMNS if known is None else COLUMNS[:3]
    remedy = f"write it again, with the header {','.join(COLUMNS)}"
    columns = csv_table.read(path, required, optional=COLUMNS[len(required) :], remedy=remedy)
    if not columns["Image"]:
        raise ValueError(f"{path}: no rows below the header; run the evaluation stage again")
    if known is not None:
        columns = _fill_from_known(path, columns, known)
    scores = _numbers(path, "pred_label", columns)
    valid = (scores >= 0) & (scores <= 1)
    refuse(path, ~valid, "pred_label", columns, "write a probability in [0, 1]")
    truth = _numbers(path, "ground_truth", columns)
    refuse(path, ~np.isin(truth, (0, 1)), "ground_truth", columns, "write 0 or 1")
    label = np.array([LABELS.index(name) if name in LABELS else -1 for name in columns["subtype"]])
    refuse(path, label < 0, "subtype", columns, f"use one of {', '.join(LABELS)}")
    csv_table.check(path, columns, "split", SPLITS.__contains__, f"use one of {', '.join(SPLITS)}")
    for name in ("Image", "patient", "site"):
        csv_table.check(path, columns, name, bool, "fill it in")
        csv_table.check(path, columns, name, is_name, NAME)

    remedy = "this is the report's name for all sites together; rename the site"
    csv_table.check(path, columns, "site", lambda site: site != ALL_SITES, remedy)

    code, first = _codes(columns["Image"])
    cell = code * len(LABELS) + label
    repeated = np.ones(cell.size, bool)
    repeated[np.unique(cell, return_index=True)[1]] = False
    refuse(path, repeated, "Image", columns, "image and subtype are repeated; keep one of the rows")
    missing = np.bincount(code, minlength=first.size) < len(LABELS)
    remedy = f"the image lacks a subtype; write all {len(LABELS)} rows of every image"
    refuse(path, missing[code], "Image", columns, remedy)

    texts = {name: _codes(columns[name])[0] for name in ("patient", "site", "split")}
    for name, values in texts.items():
        differs = values != values[first[code]]
        refuse(path, differs, name, columns, "differs from the image's first row; make them agree")
    side = texts["site"] * len(SPLITS) + texts["split"]
    origin = np.unique(texts["patient"], return_index=True)[1][texts["patient"]]
    remedy = "the patient is at another site or split in an earlier row; keep a patient on one side"
    refuse(path, side != side[origin], "patient", columns, remedy)

    if known is not None:
        _require_evaluated(path, columns, known)
    shape = (first.size, len(LABELS))
    wide_truth, wide_scores = np.empty(shape, np.uint8), np.empty(shape)
    wide_truth[code, label], wide_scores[code, label] = truth, scores
    image, patient, site, split = (
        np.array([columns[name][row] for row in first])
        for name in ("Image", "patient", "site", "split")
    )
    return Predictions(image, patient, site, split, wide_truth, wide_scores)


def _fill_from_known(path: str | os.PathLike[str], columns: Columns, known: Predictions) -> Columns:
    """Fills in omitted columns of `KNOWN`; checks that given ones agree."""
    row = {name: number for number, name in enumerate(known.image.tolist())}
    place = np.array([row.get(name, -1) for name in columns["Image"]])
    validation = np.array([split == "validation" for split in columns.get("split", ())], bool)
    unknown = (place < 0) & validation if validation.size else np.zeros(place.size, bool)
    remedy = "no such image among the data; remove it, or evaluate with the data that contain it"
    refuse(path, (place < 0) & ~unknown, "Image", columns, remedy)
    label = {name: number for number, name in enumerate(LABELS)}
    kind = np.array([label.get(name, -1) for name in columns["subtype"]])
    refuse(path, kind < 0, "subtype", columns, f"use one of {', '.join(LABELS)}")
    # A validation image that only the file contains needs all columns.
    absent = [name for name in KNOWN if name not in columns]
    if unknown.any() and absent:
        at = int(np.argmax(unknown))
        raise ValueError(
            f"{path}, line {at + 2}: Image is {columns['Image'][at]!r}, which the data lack: "
            f"add the columns {absent}"
        )
    texts = {
        "ground_truth": known.truth[place, kind].astype(str),
        "patient": known.patient[place],
        "site": known.site[place],
        "split": known.split[place],
    }
    for name in KNOWN:
        if name not in columns:
            columns[name] = texts[name].tolist()
            continue
        given = np.array(columns[name])
        if name == "ground_truth":  # 1, 1.0 and 01 are the same truth
            given = _numbers(path, name, columns)
            texts[name] = known.truth[place, kind]
        refuse(path, (given != texts[name]) & ~unknown, name, columns, "the data say otherwise")
    return columns


def _require_evaluated(path: str | os.PathLike[str], columns: Columns, known: Predictions) -> None:
    evaluated = known.image[known.split != "validation"]
    lacking = np.setdiff1d(evaluated, columns["Image"])
    if lacking.size:
        raise ValueError(
            f"{path}: lacks {lacking.size} of {evaluated.size} images of the test and hold-out sets, such as "
            f"{str(lacking[0])!r}: predict them all, because models are compared on the same images"
        )


def _numbers(path: str | os.PathLike[str], name: str, columns: Columns) -> NDArray[np.float64]:
    numbers = np.fromiter(map(number, columns[name]), np.float64, len(columns[name]))
    refuse(path, np.isnan(numbers), name, columns, "write a number")
    return numbers


def _codes(values: Iterable[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Integer codes in order of first appearance, and the row of each code's first appearance."""
    index: dict[str, int] = {}
    codes = np.array([index.setdefault(value, len(index)) for value in values], np.int64)
    return codes, np.unique(codes, return_index=True)[1]
