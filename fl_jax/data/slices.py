"""A dataset that is already built: its facts in memory, its pixels read when asked for.

Opening it costs no pixel and does not load TensorFlow: the facts come from `index.csv`, and the
records from TFDS's random access to array_record. Record i is line i of the index.
"""

import csv
import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fl_jax.data import duplicates
from fl_jax.types import LABELS

VERSION = "1.2.0"
"""Of the dataset's layout; a dataset of another version is built anew."""
UNKNOWN = -1
"""In place of each label of a dataset without labels; it fits no loss and no statistic."""
SPLIT = "slices"
"""TFDS needs a split's name and reserves `all`."""
DIALECT = ("bits_stored", "signed", "intercept", "kernel", "spacing_row")
"""Columns of how a file was written."""
Summary = dict[str, Any]
"""`summary.json`: version, digest, options, versions, refused (share of files), duplicates (counts),
sites: {name: counts}."""
COLUMNS = (
    *("image", "patient", "study", "series", "site"),
    *("position", "thickness", "instance", "rows", "columns", "spacing_row", "spacing_column"),
    *("tilt", "bits_stored", "signed", "slope", "intercept", "kernel", "manufacturer"),
    *("transfer_syntax", "repairs", *LABELS),
)
"""Of `index.csv`: positions, thicknesses and spacings in mm, tilt in degrees, repairs by `;`, labels
empty where there are none."""


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


def read_summary(data_dir: str | pathlib.Path) -> Summary | None:
    """The summary of the dataset under `data_dir`; None if there is no complete dataset."""
    path = pathlib.Path(data_dir) / "summary.json"
    if not path.exists():
        return None
    return json.loads(path.read_text(encoding="utf-8"))


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
    import tensorflow_datasets as tfds  # half a second that a user of in-memory arrays need not pay

    data_dir = pathlib.Path(data_dir)
    summary = read_summary(data_dir)
    if summary is None:
        raise FileNotFoundError(
            f"{data_dir}: no complete dataset (no summary.json); build it with "
            "python -m launch.prepare_data --source=DIR --data_dir=" + str(data_dir)
        )
    if summary["version"] != VERSION:
        raise ValueError(
            f"{data_dir}: dataset version {summary['version']}, this code reads {VERSION}; "
            "build it anew with python -m launch.prepare_data"
        )
    names = ("image", "patient", "study", "series", "site")
    wanted = (*names, "position", "thickness", *DIALECT, *LABELS)
    columns = read_index(data_dir / "slices" / "index.csv", wanted)
    builder: Any = tfds.builder_from_directory(data_dir / "slices")
    source = builder.as_data_source(split=SPLIT)
    if len(source) != len(columns["image"]):
        raise ValueError(
            f"{data_dir}: {len(source)} records but {len(columns['image'])} lines in index.csv; "
            "build the dataset anew"
        )
    size = summary["options"]["image_size"]
    return Slices(
        *(np.array(columns[name], dtype=str) for name in names),
        position=np.array(columns["position"], np.float32),
        labels=np.stack([_labels(columns[label]) for label in LABELS], axis=1),
        thickness=np.array(columns["thickness"], np.float32),
        image_shape=(size, size),
        source=source,
        linked=duplicates.linked(duplicates.read(data_dir / "slices" / "duplicates.csv")),
        dialect=_dialect(columns),
    )


def _dialect(columns: dict[str, list[str]]) -> dict[str, np.ndarray]:
    spacing = np.array(columns["spacing_row"], np.float32).round(2)
    return {
        "bits_stored": np.array(columns["bits_stored"], int),
        "signed": np.array(columns["signed"], int),
        "intercept": np.array(columns["intercept"], np.float32),
        "kernel": np.array(columns["kernel"], str),
        "spacing": np.nan_to_num(spacing, nan=-1.0),
    }


def _labels(column: list[str]) -> np.ndarray:
    return np.array([value or str(UNKNOWN) for value in column], np.int8)


def read_index(path: str | pathlib.Path, names: Sequence[str] = COLUMNS) -> dict[str, list[str]]:
    """Columns of an `index.csv`, as text; equal texts are one object.

    Args:
        path: the file.
        names: which of `COLUMNS`.

    Returns:
        Each column, by name.

    Raises:
        ValueError: another header.
    """
    once: dict[str, str] = {}
    with open(path, newline="", encoding="utf-8") as file:
        lines = csv.reader(file)
        if tuple(next(lines, ())) != COLUMNS:
            raise ValueError(f"{path}: the first line must be {','.join(COLUMNS)}")
        places = [COLUMNS.index(name) for name in names]
        found: list[list[str]] = [[] for _ in names]
        for line in lines:
            for column, place in zip(found, places, strict=True):
                column.append(once.setdefault(line[place], line[place]))
    return dict(zip(names, found, strict=True))
