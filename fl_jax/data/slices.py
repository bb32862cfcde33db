"""A dataset that is already built: its facts in memory, its pixels read when asked for.

Opening it costs no pixel and does not load TensorFlow: the facts come from `index.csv`, and the
records from TFDS's random access to array_record. Record i is line i of the index.
"""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from fl_jax.core.types import LABELS
from fl_jax.data import duplicates
from fl_jax.data.index import REMEDY, VERSION, read_index, read_summary
from fl_jax.files import csv_table
from fl_jax.files.extras import extra
from fl_jax.files.text import printable

UNKNOWN = -1
"""In place of each label of a dataset without labels; it fits no loss and no statistic."""
SPLIT = "slices"
"""TFDS needs a split's name and reserves `all`."""
DIALECT = ("bits_stored", "signed", "intercept", "kernel", "spacing_row")
"""Columns of how a file was written."""


@dataclasses.dataclass(frozen=True, eq=False)
class Slices:
    """A dataset: N slices' facts in memory, their pixels on disk or in memory.

    Attributes:
        image: str[N], unique.
        patient: str[N], a number in place of the Patient ID, see `pseudonyms`; so are:
        study: str[N].
        series: str[N].
        site: str[N].
        position: float32[N], mm along the slice normal.
        labels: int8[N, L] in {0, 1}, in the order of `types.LABELS`; all `UNKNOWN` in a dataset that
            is for inference only.
        thickness: float32[N], mm; NaN where unknown.
        image_shape: (H, W).
        source: random access to the records on disk.
        held: int16[N, H, W] in HU, or None while pixels stay on disk.
        linked: patients that share a picture with another, to a name of their set; see `duplicates`.
        dialect: how the files were written, by column: `bits_stored`, `signed`, `intercept`, `kernel` and
            `spacing` between rows in mm, -1 where unknown; each [N]. Empty where that is not known.
        adjacent: int64[N, 3], the rows of the slices that a model reads as one input, see
            `adjacent.neighbours`; None where it reads single slices.
    """

    image: np.ndarray
    patient: np.ndarray
    study: np.ndarray
    series: np.ndarray
    site: np.ndarray
    position: np.ndarray
    labels: np.ndarray
    thickness: np.ndarray
    image_shape: tuple[int, int]
    source: Any
    held: np.ndarray | None = None
    linked: Mapping[str, str] = dataclasses.field(default_factory=dict)
    dialect: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    adjacent: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.image)

    @property
    def labelled(self) -> bool:
        """Whether every slice has labels."""
        return not (self.labels == UNKNOWN).any()

    def require_labels(self) -> None:
        """Raises ValueError where labels are lacking, for whatever trains or evaluates."""
        if not self.labelled:
            raise ValueError(
                "the dataset has no labels: it is for inference only; use launch.evaluate, or a "
                "source with labels"
            )

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of one input: (H, W), or (3, H, W) with neighbours."""
        return (*(() if self.adjacent is None else (3,)), *self.image_shape)

    @property
    def pixel_bytes(self) -> int:
        """What all pixels take in memory: N * H * W * 2 bytes."""
        return len(self) * self.image_shape[0] * self.image_shape[1] * 2

    def read_as(self, examples: np.ndarray) -> np.ndarray:
        """The rows that these examples' inputs are made of: int[n], or int[n, 3] with neighbours."""
        return examples if self.adjacent is None else self.adjacent[examples]

    def examples(self, rows: np.ndarray) -> np.ndarray:
        """The examples that these rows are in, int[M]: here an example is a slice; see `studies`."""
        return rows

    def rows(self, examples: np.ndarray) -> np.ndarray:
        """The rows that are in these examples, each once."""
        return examples

    def inputs(self, read: np.ndarray, examples: np.ndarray) -> Any:
        """What a model is given of what was read for these examples."""
        del examples
        return read

    def truth(self, examples: np.ndarray) -> np.ndarray:
        """What a model is to say of these examples: float32[B, L] in {0, 1}."""
        return self.labels[examples].astype(np.float32)

    def of_slices(self, answers: np.ndarray, examples: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """What a model's answers to `examples(rows)` say of the rows: float64[n, L]."""
        del examples, rows
        return answers

    def singly(self) -> "Slices":
        """The same slices, each an example."""
        return self

    def hu(self, rows: np.ndarray) -> np.ndarray:
        """The pixels of some rows, int[...]: int16[..., H, W] in HU."""
        if self.held is not None:
            return self.held[rows]
        rows = np.asarray(rows)
        if not rows.size:
            return np.zeros((*rows.shape, *self.image_shape), np.int16)
        read = [record["hu"] for record in self.source.__getitems__(rows.ravel().tolist())]
        return np.stack(read).reshape(*rows.shape, *self.image_shape)

    def in_memory(self) -> "Slices":
        """The same dataset with all pixels read into memory, `pixel_bytes` of them."""
        if self.held is not None:
            return self
        held = np.empty((len(self), *self.image_shape), np.int16)
        for start in range(0, len(self), 256):
            rows = np.arange(start, min(start + 256, len(self)))
            held[rows] = self.hu(rows)
        return dataclasses.replace(self, held=held)


def load(data_dir: str | pathlib.Path) -> Slices:
    """Opens the dataset that `builder.prepare` made.

    Args:
        data_dir: the folder that `prepare` was given.

    Returns:
        The slices, pixels on disk; `in_memory()` reads them all.

    Raises:
        FileNotFoundError: no complete dataset there.
        ValueError: a dataset of another version, or one whose index and records disagree.
    """
    with extra("ct"):
        import tensorflow_datasets as tfds  # half a second that a user of in-memory arrays need not pay

    data_dir = pathlib.Path(data_dir)
    summary = read_summary(data_dir)
    if summary is None:
        raise FileNotFoundError(
            f"{data_dir}: no complete dataset (no summary.json); build it with "
            "python -m launch.prepare_data --source=DIR --data_dir=" + str(data_dir)
        )
    if summary.get("version") != VERSION:
        raise ValueError(
            f"{data_dir}: dataset version {summary.get('version')}, this code reads {VERSION}; {REMEDY}"
        )
    names = ("image", "patient", "study", "series", "site")
    index = data_dir / "slices" / "index.csv"
    found = read_index(index, (*names, "position", "thickness", *DIALECT, *LABELS))
    try:
        builder: Any = tfds.builder_from_directory(data_dir / "slices")
        source = builder.as_data_source(split=SPLIT)
        stored, records = builder.info.features["hu"].shape, len(source)
    except Exception as error:  # whatever a damaged file makes TFDS raise
        raise ValueError(f"{data_dir / 'slices'}: {printable(f'{error!r}')}; {REMEDY}") from error
    if records != len(found["image"]):
        raise ValueError(
            f"{data_dir}: {records} records but {len(found['image'])} lines in index.csv; {REMEDY}"
        )
    size = summary["options"]["image_size"]
    if stored != (size, size):
        raise ValueError(
            f"{data_dir}: summary.json says image_size {size}, records are of {stored}; {REMEDY}"
        )
    copies = duplicates.read(data_dir / "slices" / "duplicates.csv")
    rows = zip(found["image"], found["patient"], found["site"], strict=True)
    duplicates.check(data_dir / "slices" / "duplicates.csv", copies, rows)
    return Slices(
        *(np.array(found[name], dtype=str) for name in names),
        position=np.array(found["position"], np.float32),
        labels=_labels(index, found),
        thickness=np.array(found["thickness"], np.float32),
        image_shape=(size, size),
        source=source,
        linked=duplicates.linked(copies),
        dialect=_dialect(found),
    )


def _dialect(found: csv_table.Columns) -> dict[str, np.ndarray]:
    spacing = np.array(found["spacing_row"], np.float32).round(2)
    return {
        "bits_stored": np.array(found["bits_stored"], int),
        "signed": np.array(found["signed"], int),
        "intercept": np.array(found["intercept"], np.float32),
        "kernel": np.array(found["kernel"], str),
        "spacing": np.nan_to_num(spacing, nan=-1.0),
    }


def _labels(index: pathlib.Path, found: csv_table.Columns) -> np.ndarray:
    """int8[N, L]; all slices have all labels or none has any, and `any` is set where a subtype is."""
    given = [[value or str(UNKNOWN) for value in found[label]] for label in LABELS]
    labels = np.array(given, np.int8).T
    lacking = (labels == UNKNOWN).any(axis=1)
    if not (labels == UNKNOWN).all():
        csv_table.refuse(index, lacking, "any", found, f"a label is missing; {REMEDY}")
    other = labels[:, 0] < labels[:, 1:].max(axis=1)
    csv_table.refuse(index, other, "any", found, f"a subtype is 1; {REMEDY}")
    return labels
