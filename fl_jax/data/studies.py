"""A dataset whose examples are studies: the slices of a series in order along z, up to 64 at a time.

    example = (row_1, ..., row_n),   position(row_1) <= ... <= position(row_n),   n <= S <= 64

| case | what becomes of it |
|---|---|
| files named or numbered in another order | only positions count; slices at one position go by name |
| gaps, unequal spacing | nothing is filled in: positions in mm are part of what the model reads |
| a slice without a position | refused, by name: it has no place in its study |
| a study of several series | each series is an example; the study is positive as far as one of them is |
| more than 64 slices in a series | windows of 64 that overlap by at least 16, spread evenly; each is an example |
| a slice in several windows | its logit is the mean of theirs; the study's is the largest of its windows' |

So every slice has a logit, whatever the length of its study.
"""  # noqa: E501 - a table

import dataclasses

import numpy as np

from fl_jax.core.types import Study
from fl_jax.data.slices import UNKNOWN, Slices

LONGEST = 64
"""Slices that a model reads at once."""
OVERLAP = 16
"""Slices that two windows of a longer series share at least."""


@dataclasses.dataclass(frozen=True, eq=False)
class Studies(Slices):
    """Slices that are read in their studies; facts are by slice as before, examples are studies.

    Attributes:
        windows: int64[M, S], the rows of each example in order along z; -1 in padding, which comes last.
    """

    windows: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros((0, 0), np.int64))

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of what is read for one example: (S, H, W), (S, 3, H, W), or (S, F) for features."""
        return (self.windows.shape[1], *super().input_shape)

    def read_as(self, examples: np.ndarray) -> np.ndarray:
        """The rows that these examples are made of, int[n, S] or int[n, S, 3]; in padding the first."""
        windows = self.windows[examples]
        return super().read_as(np.where(windows < 0, windows[..., :1], windows))

    def examples(self, rows: np.ndarray) -> np.ndarray:
        """The examples that these rows are in, int[M], each once, in their order."""
        wanted = np.zeros(len(self) + 1, bool)  # the last one is padding's
        wanted[rows] = True
        return np.flatnonzero(wanted[self.windows].any(1))

    def rows(self, examples: np.ndarray) -> np.ndarray:
        """The rows that are in these examples, each once."""
        found = np.unique(self.windows[examples])
        return found[found >= 0]

    def inputs(self, read: np.ndarray, examples: np.ndarray) -> Study:
        """The batch of studies, from what was read for them."""
        windows = self.windows[examples]
        position = np.where(windows < 0, 0, self.position[windows]).astype(np.float32)
        return Study(read, position, windows >= 0)

    def truth(self, examples: np.ndarray) -> np.ndarray:
        """What a model is to say: float32[B, 1 + S, L] in {0, 1}, the study's first, -1 in padding.

        A study has a label where one of its slices has it.
        """
        windows = self.windows[examples]
        labels = self.labels[windows].astype(np.float32)
        each = np.where(windows[..., None] < 0, np.float32(UNKNOWN), labels)
        return np.concatenate([each.max(1, keepdims=True), each], 1)

    def of_slices(self, answers: np.ndarray, examples: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """The logits of these rows, float64[n, L], each the mean over the examples that it is in.

        Args:
            answers: float64[M, 1 + S, L], the model's to the examples.
            examples: int[M], `examples(rows)`.
            rows: int[n].
        """
        windows, total = self.windows[examples], np.zeros((len(self), answers.shape[-1]))
        times = np.zeros((len(self), 1))
        np.add.at(total, windows[windows >= 0], answers[:, 1:][windows >= 0])
        np.add.at(times, windows[windows >= 0], 1)
        return total[rows] / times[rows]

    def singly(self) -> Slices:
        """The same slices, each an example."""
        fields = dataclasses.fields(Slices)
        return Slices(**{field.name: getattr(self, field.name) for field in fields})


def group_into_studies(slices: Slices, *, longest: int = LONGEST) -> Studies:
    """Makes studies the examples of a dataset.

    Args:
        slices: the dataset, N slices.
        longest: slices that an example holds at most, over `OVERLAP`.

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
    names = (slices.series, slices.study, slices.patient)
    order = np.lexsort((slices.image, slices.position, *names))
    same = np.all([name[order][1:] == name[order][:-1] for name in names], axis=0)
    parts = [
        part
        for series in np.split(order, np.flatnonzero(~same) + 1)
        for part in _overlapping(series, longest)
    ]
    windows = np.full((len(parts), max(map(len, parts), default=0)), -1)
    for number, part in enumerate(parts):
        windows[number, : len(part)] = part
    fields = dataclasses.fields(Slices)
    return Studies(**{f.name: getattr(slices, f.name) for f in fields}, windows=windows)


def _overlapping(series: np.ndarray, longest: int) -> list[np.ndarray]:
    """The series, or, where it is longer, windows of it that are spread evenly."""
    if len(series) <= longest:
        return [series]
    count = -(-(len(series) - OVERLAP) // (longest - OVERLAP))
    starts = np.linspace(0, len(series) - longest, count).round().astype(int)
    return [series[start : start + longest] for start in starts]
