"""`Slices`, an open dataset: metadata in memory, pixels read on demand.

Opening reads no pixels and does not import TensorFlow. Record i on disk is row i of `index.csv`.
"""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from fl_jax.core.types import LABELS
from fl_jax.data import duplicates
from fl_jax.data.index import HEAD, read_index
from fl_jax.data.metadata import REMEDY, Options, damage, read_summary
from fl_jax.data.records import Records
from fl_jax.files import csv_table

UNKNOWN = -1
"""Each label of a dataset without labels; invalid in every loss and statistic."""
EXTENT = ("rows", "columns", "spacing_row", "spacing_column", "centre_row", "centre_column")
DIALECT = ("bits_stored", "signed", "intercept", "kernel", "spacing_row")
"""Index columns that describe how a file was written."""


@dataclasses.dataclass(frozen=True, eq=False)
class Slices:
    """A dataset of N slices. An example, i.e. one input of a model, is a slice; see `studies` for others.

    Attributes:
        image: str[N], unique.
        patient: str[N], numbers in place of identifiers, see `pseudonyms`; likewise:
        study: str[N].
        series: str[N].
        site: str[N].
        position: float32[N], mm along the slice normal.
        labels: int8[N, L] in {0, 1}, in the order of `types.LABELS`; all `UNKNOWN` without labels.
        thickness: float32[N], mm; NaN if unknown.
        image_shape: (H, W).
        source: random access to the records on disk, see `records.Records`.
        pixels: int16[N, H, W] in HU, or None while pixels stay on disk.
        linked: maps patients who share a picture with others to the name of their group; see `duplicates`.
        dialect: how the files were written: `bits_stored`, `signed`, `intercept`, `kernel`, and `spacing`
            between rows in mm, -1 if unknown; each [N]. Empty if not known.
        adjacent: int64[N, 3], the rows of one input, see `adjacent.neighbours`; None for single slices.
        pixel_mm: float64[N], side of the stored square pixels, mm; NaN if unknown. None if not known at all.
        head: what each slice shows of the head, by the names of `index.HEAD`; each float32[N], NaN if
            unknown. Empty if not known.
        spacing_mm: mm a pixel of all slices, which are centred on the head; 0 if each fits its field of view.
        extent: rows, columns and spacing of the files, and `centre_row`, `centre_column` of the slices in mm
            from the files' centres, as in `index.csv`; each float64[N]. Empty if not known.
        offset: int16[N], HU that `hu` adds to each slice on disk; None for 0.
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
    pixels: np.ndarray | None = None
    linked: Mapping[str, str] = dataclasses.field(default_factory=dict)
    dialect: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    adjacent: np.ndarray | None = None
    pixel_mm: np.ndarray | None = None
    head: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    offset: np.ndarray | None = None
    spacing_mm: float = 0.0
    extent: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.image)

    @property
    def labelled(self) -> bool:
        """Whether every slice has labels."""
        return not (self.labels == UNKNOWN).any()

    def require_labels(self) -> None:
        """Raises ValueError if labels are missing."""
        if not self.labelled:
            raise ValueError(
                "the dataset has no labels: it is for inference only; use launch.evaluate, or a "
                "source with labels"
            )

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input: (H, W), or (3, H, W) with adjacent slices."""
        return (*(() if self.adjacent is None else (3,)), *self.image_shape)

    @property
    def pixel_bytes(self) -> int:
        """Memory of all pixels: N * H * W * 2 bytes."""
        return len(self) * self.image_shape[0] * self.image_shape[1] * 2

    def input_rows(self, examples: np.ndarray) -> np.ndarray:
        """The rows whose pixels form these examples' inputs: int[n], or int[n, 3] with adjacent slices."""
        return examples if self.adjacent is None else self.adjacent[examples]

    def examples(self, rows: np.ndarray) -> np.ndarray:
        """The examples that contain these rows, int[M], each once."""
        return rows

    def rows(self, examples: np.ndarray) -> np.ndarray:
        """The rows that these examples contain, each once."""
        return examples

    def inputs(self, pixels: np.ndarray, examples: np.ndarray) -> Any:
        """A batch's `inputs`, from the pixels of `input_rows(examples)`."""
        del examples
        return pixels

    def targets(self, examples: np.ndarray) -> np.ndarray:
        """A batch's `labels`: float32[B, L] in {0, 1}."""
        return self.labels[examples].astype(np.float32)

    def slice_logits(
        self, logits: np.ndarray, examples: np.ndarray, rows: np.ndarray
    ) -> np.ndarray:
        """Logits of rows, float64[n, L], from a model's logits of `examples(rows)`."""
        del examples, rows
        return logits

    def single_slices(self) -> "Slices":
        """The same slices, each an example."""
        return self

    def hu(self, rows: np.ndarray) -> np.ndarray:
        """Pixels of rows int[...]: int16[..., H, W] in HU."""
        if self.pixels is not None:
            return self.pixels[rows]
        rows = np.asarray(rows)
        if not rows.size:
            return np.zeros((*rows.shape, *self.image_shape), np.int16)
        pixels = [record["hu"] for record in self.source.__getitems__(rows.ravel().tolist())]
        hu = np.stack(pixels).reshape(*rows.shape, *self.image_shape)
        return hu if self.offset is None else hu + self.offset[rows][..., None, None]

    def in_memory(self) -> "Slices":
        """The same dataset with all pixels in memory, `pixel_bytes` of them."""
        if self.pixels is not None:
            return self
        pixels = np.empty((len(self), *self.image_shape), np.int16)
        for start in range(0, len(self), 256):
            rows = np.arange(start, min(start + 256, len(self)))
            pixels[rows] = self.hu(rows)
        return dataclasses.replace(self, pixels=pixels, offset=None)

    def shifted(self, offset: np.ndarray) -> "Slices":
        """The same dataset with int16[N] HU added to the pixels of each slice."""
        if self.pixels is not None:
            return dataclasses.replace(self, pixels=self.pixels + offset[:, None, None])
        offset = offset if self.offset is None else self.offset + offset
        return dataclasses.replace(self, offset=offset)


class Identity(NamedTuple):
    """The source's digest and the options that a dataset was built with; None without a dataset."""

    digest: str | None = None
    options: Options | None = None


def identity(data_dir: str | pathlib.Path) -> Identity:
    """What identifies the dataset under `data_dir`, without opening it.

    Raises:
        ValueError: see `metadata.read_summary`.
    """
    summary = read_summary(data_dir)
    return Identity() if summary is None else Identity(summary["digest"], summary["options"])


def load(data_dir: str | pathlib.Path) -> Slices:
    """Opens a dataset that `dataset.prepare` built.

    Args:
        data_dir: its folder.

    Returns:
        The slices, with pixels on disk; `in_memory()` reads them all.

    Raises:
        FileNotFoundError: no complete dataset.
        ValueError: another version, or files that are damaged or disagree.
    """
    data_dir = pathlib.Path(data_dir)
    summary = read_summary(data_dir)
    if summary is None:
        raise FileNotFoundError(
            f"{data_dir}: no complete dataset (no summary.json); build it with "
            "python -m launch.prepare_data --source=DIR --data_dir=" + str(data_dir)
        )
    fault = damage(data_dir, summary, shards=False)
    if fault:
        raise ValueError(f"{data_dir}: {fault}; {REMEDY}")
    names = ("image", "patient", "study", "series", "site")
    index = data_dir / "slices" / "index.csv"
    columns = read_index(
        index,
        (*names, "position", "thickness", *dict.fromkeys((*DIALECT, *EXTENT, *HEAD)), *LABELS),
    )
    extent = {name: np.array(columns[name], np.float64) for name in EXTENT}
    size = summary["options"]["image_size"]
    records = Records(data_dir / "slices", size)
    if len(records) != len(columns["image"]):
        raise ValueError(
            f"{data_dir}: {len(records)} records but {len(columns['image'])} rows in index.csv; {REMEDY}"
        )
    copies = duplicates.read(data_dir / "slices" / "duplicates.csv")
    rows = zip(columns["image"], columns["patient"], columns["site"], strict=True)
    duplicates.check(data_dir / "slices" / "duplicates.csv", copies, rows)
    return Slices(
        *(np.array(columns[name], dtype=str) for name in names),
        position=np.array(columns["position"], np.float32),
        labels=_labels(index, columns),
        thickness=np.array(columns["thickness"], np.float32),
        image_shape=(size, size),
        source=records,
        linked=duplicates.linked_patients(copies),
        dialect=_dialect(columns),
        pixel_mm=_pixel_mm(extent, size, summary["options"]["spacing_mm"]),
        spacing_mm=summary["options"]["spacing_mm"],
        extent=extent,
        head={name: np.array(columns[name], np.float32) for name in HEAD},
    )


def _pixel_mm(extent: Mapping[str, np.ndarray], size: int, spacing_mm: float) -> np.ndarray:
    """Without `spacing_mm` the longer side of each picture is `size` pixels."""
    if spacing_mm:
        return np.full(len(extent["rows"]), spacing_mm)
    rows, count, down, across, _, _ = (extent[name] for name in EXTENT)
    return np.maximum(rows * down, count * across) / size


def _dialect(columns: csv_table.Columns) -> dict[str, np.ndarray]:
    spacing = np.array(columns["spacing_row"], np.float32).round(2)
    return {
        "bits_stored": np.array(columns["bits_stored"], int),
        "signed": np.array(columns["signed"], int),
        "intercept": np.array(columns["intercept"], np.float32),
        "kernel": np.array(columns["kernel"], str),
        "spacing": np.nan_to_num(spacing, nan=-1.0),
    }


def _labels(index: pathlib.Path, columns: csv_table.Columns) -> np.ndarray:
    """int8[N, L]; checks that all or no slices have labels, and that `any` includes the subtypes."""
    cells = [[value or str(UNKNOWN) for value in columns[label]] for label in LABELS]
    labels = np.array(cells, np.int8).T
    missing = (labels == UNKNOWN).any(axis=1)
    if not (labels == UNKNOWN).all():
        csv_table.refuse(index, missing, "any", columns, f"a label is missing; {REMEDY}")
    inconsistent = labels[:, 0] < labels[:, 1:].max(axis=1)
    csv_table.refuse(index, inconsistent, "any", columns, f"a subtype is 1; {REMEDY}")
    return labels
