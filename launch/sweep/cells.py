"""The cells of a sweep: the rows of its config, and the finished runs of each row in one file."""

import itertools
import json
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from fl_jax.files import atomic, folders
from fl_jax.files.jsonable import jsonable
from fl_jax.files.structs import read_struct

TUNING = ("grid", "metric")
"""Keys of a row that say how it is tuned; all others are fields of its runs."""


class Run(msgspec.Struct, frozen=True):
    """A finished run: its grid point, seed, seconds and results."""

    point: dict[str, Any]
    seed: int
    seconds: float
    results: dict[str, int | float | list[Any] | None]


class Stored(msgspec.Struct, frozen=True):
    """The file of a cell: the settings that its runs share, and the runs."""

    inputs: dict[str, Any]
    runs: list[Run]


class Cell(NamedTuple):
    """A row of the table.

    Attributes:
        panel: the table that it belongs to; empty if there is only one.
        name: unique in its panel.
        settings: fields of its runs.
        grid: field to the values to try.
        metric: the metric that selects the best grid point.
    """

    panel: str
    name: str
    settings: dict[str, Any]
    grid: dict[str, list[Any]]
    metric: str

    @property
    def title(self) -> str:
        """`PANEL/NAME`, or the name alone if there is one panel."""
        return f"{self.panel}/{self.name}".lstrip("/")

    @property
    def points(self) -> list[dict[str, Any]]:
        """The grid's product; one empty point without a grid."""
        return [
            dict(zip(self.grid, v, strict=True)) for v in itertools.product(*self.grid.values())
        ]


def plan(config: Any) -> list[Cell]:
    """Reads the rows of a sweep's config.

    Raises:
        ValueError: for a field that the base lacks, a grid without values, or no seed.
    """
    parts = json.loads(json.dumps(config.to_dict()))  # tuples become lists, as in the files
    base, tuning = parts["base"], parts["tuning"]
    if not parts["seeds"] or not parts["rows"]:
        raise ValueError("config.seeds and config.rows: give at least one of each")
    cells = []
    for title, row in parts["rows"].items():
        panel, _, name = title.rpartition("/")
        fields = {key: value for key, value in row.items() if key not in TUNING}
        grid = tuning["grid"] | row.get("grid", {})
        for key in (*fields, *grid):
            if key not in base:
                raise ValueError(
                    f"config.rows: {title!r} sets {key!r}, which config.base does not have; there are: "
                    f"{', '.join(base)}"
                )
        for key, values in grid.items():
            if not isinstance(values, list) or not values:
                raise ValueError(f"grid of {key!r} in {title!r} is {values!r}: give values to try")
        grid = {key: values for key, values in grid.items() if key not in fields}
        settings = base | fields | {key: values[0] for key, values in grid.items()}
        cells.append(Cell(panel, name, settings, grid, row.get("metric", tuning["metric"])))
    if any(len(cell.points) > 1 for cell in cells) and not tuning["seeds"]:
        raise ValueError("config.tuning.seeds: give at least one, or a grid of one point")
    return cells


class CellFile:
    """The finished runs of a cell, in one file that is rewritten after each run."""

    def __init__(self, workdir: Path, cell: Cell, runner: str) -> None:
        self.path = workdir / "cells" / cell.panel / f"{cell.name}.json"
        fixed = {k: v for k, v in cell.settings.items() if k not in cell.grid}
        self._inputs: dict[str, Any] = {"runner": runner} | fixed
        self.runs: list[Run] = []
        stored = read_struct(
            self.path, Stored, remedy="remove this file, and its runs are done again"
        )
        if stored is not None:
            self._check(stored.inputs)
            self.runs = [replace(run, results=jsonable(run.results)) for run in stored.runs]

    def _check(self, before: dict[str, Any]) -> None:
        now = self._inputs
        differ = sorted(k for k in before | now if before.get(k, "tuned") != now.get(k, "tuned"))
        if differ:
            shown = "; ".join(
                f"{k}: {before.get(k, 'tuned')!r} there, {now.get(k, 'tuned')!r} now"
                for k in differ
            )
            raise ValueError(
                f"{self.path} was started with other settings ({shown}): use another --workdir, or remove it"
            )

    def find(self, point: dict[str, Any], seed: int) -> dict[str, Any] | None:
        """The results of a run; None if it is not finished."""
        same = (run for run in self.runs if (run.point, run.seed) == (point, seed))
        return next((run.results for run in same), None)

    def add(
        self, point: dict[str, Any], seed: int, results: dict[str, Any], seconds: float
    ) -> None:
        """Stores a finished run."""
        self.runs.append(Run(point, seed, round(seconds, 3), results))
        folders.make(self.path.parent)
        stored = msgspec.to_builtins(Stored(self._inputs, self.runs))
        atomic.write_text(self.path, json.dumps(stored) + "\n")
