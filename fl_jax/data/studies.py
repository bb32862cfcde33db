"""`Studies`, a dataset whose examples are studies: the slices of a series along z, up to 64 at a time.

    example = (row_1, ..., row_n),   position(row_1) <= ... <= position(row_n),   n <= S <= 64

| case | outcome |
|---|---|
| files named or numbered in another order | positions decide; slices at one position are sorted by name |
| gaps, unequal spacing | nothing is filled in: the model reads positions in mm |
| a slice without a position | error |
| a study of several series | each series is an example; the study's logit is the largest of theirs |
| more than 64 slices in a series | evenly spread windows of 64 that overlap by 16 or more, each an example |
| a slice in several windows | its logit is the mean of theirs; the study's is the largest of its windows' |

So every slice has a logit, whatever the length of its study.
"""

import dataclasses

import numpy as np

from fl_jax.core.types import Study
from fl_jax.data.slices import UNKNOWN, Slices
from fl_jax.data.stacks import stacks

LONGEST = 64
"""Slices that a model reads at once."""
OVERLAP = 16
"""Minimum overlap of two windows of a longer series, in slices."""


@dataclasses.dataclass(frozen=True, eq=False)
class Studies(Slices):
    """Slices grouped by study: metadata is per slice, examples are studies.

    Attributes:
        windows: int64[M, S], the rows of each example along z; padding comes last and is -1.
    """

    windows: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros((0, 0), np.int64))

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one example's pixels: (S, H, W), (S, 3, H, W), or (S, F) for features."""
        return (self.windows.shape[1], *super().input_shape)

    def input_rows(self, examples: np.ndarray) -> np.ndarray:
        """The rows of these examples, int[n, S] or int[n, S, 3]; padding repeats the first."""
        windows = self.windows[examples]
        return super().input_rows(np.where(windows < 0, windows[..., :1], windows))

    def examples(self, rows: np.ndarray) -> np.ndarray:
        """The examples that contain these rows, int[M], each once, ascending."""
        wanted = np.zeros(len(self) + 1, bool)  # the last entry stands for padding
        wanted[rows] = True
        return np.flatnonzero(wanted[self.windows].any(1))

    def rows(self, examples: np.ndarray) -> np.ndarray:
        """The rows that these examples contain, each once."""
        rows = np.unique(self.windows[examples])
        return rows[rows >= 0]

    def inputs(self, pixels: np.ndarray, examples: np.ndarray) -> Study:
        """A batch's `inputs`, from the pixels of `input_rows(examples)`."""
        windows = self.windows[examples]
        position = np.where(windows < 0, 0, self.position[windows]).astype(np.float32)
        return Study(pixels, position, windows >= 0)

    def targets(self, examples: np.ndarray) -> np.ndarray:
        """A batch's `labels`: float32[B, 1 + S, L] in {0, 1}, the study's first, -1 in padding.

        A study has a label if any of its slices has it.
        """
        windows = self.windows[examples]
        labels = self.labels[windows].astype(np.float32)
        each = np.where(windows[..., None] < 0, np.float32(UNKNOWN), labels)
        return np.concatenate([each.max(1, keepdims=True), each], 1)

    def slice_logits(
        self, logits: np.ndarray, examples: np.ndarray, rows: np.ndarray
    ) -> np.ndarray:
        """Logits of rows, float64[n, L]: the mean over the examples that contain each.

        Args:
            logits: float64[M, 1 + S, L], the model's logits of the examples.
            examples: int[M], `examples(rows)`.
            rows: int[n].
        """
        windows, total = self.windows[examples], np.zeros((len(self), logits.shape[-1]))
        times = np.zeros((len(self), 1))
        np.add.at(total, windows[windows >= 0], logits[:, 1:][windows >= 0])
        np.add.at(times, windows[windows >= 0], 1)
        return total[rows] / times[rows]

    def single_slices(self) -> Slices:
        """The same slices, each an example."""
        fields = dataclasses.fields(Slices)
        return Slices(**{field.name: getattr(self, field.name) for field in fields})


def group_into_studies(slices: Slices, *, longest: int = LONGEST) -> Studies:
    """Turns a dataset of slices into one of studies.

    Args:
        slices: the dataset, N slices.
        longest: maximum number of slices in an example, above `OVERLAP`.

    Returns:
        The dataset; S is the number of slices of its longest example.

    Raises:
        ValueError: a slice has no position, or `longest` is too small.
    """
    if longest <= OVERLAP:
        raise ValueError(f"longest={longest}: windows overlap by {OVERLAP} slices; give more")
    lost = np.flatnonzero(~np.isfinite(slices.position))
    if len(lost):
        raise ValueError(
            f"{len(lost)} of {len(slices)} slices have no position, such as image "
            f"{str(slices.image[lost[0]])!r}: they have no place in their study; leave them out, or read "
            "slices one by one"
        )
    parts = [part for rows, _ in stacks(slices) for part in _overlapping(rows, longest)]
    windows = np.full((len(parts), max(map(len, parts), default=0)), -1)
    for number, part in enumerate(parts):
        windows[number, : len(part)] = part
    fields = dataclasses.fields(Slices)
    return Studies(**{f.name: getattr(slices, f.name) for f in fields}, windows=windows)


def _overlapping(series: np.ndarray, longest: int) -> list[np.ndarray]:
    """The series, or evenly spread windows of a series that is too long."""
    if len(series) <= longest:
        return [series]
    count = -(-(len(series) - OVERLAP) // (longest - OVERLAP))
    starts = np.linspace(0, len(series) - longest, count).round().astype(int)
    return [series[start : start + longest] for start in starts]
