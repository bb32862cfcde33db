"""What a sweep consists of: the rows of its config, and each row's finished runs in a file."""

import itertools
import json
from pathlib import Path
from typing import Any, NamedTuple

from fl_jax.files import atomic
from fl_jax.files import json_shape as shapes

_RUN = {"point": {}, "seed": int, "seconds": (int, float), "results": {}}
_KEPT = {"inputs": {}, "runs": [_RUN]}
OWN = ("grid", "metric")
"""Keys of a row that say how it is tuned; all others are fields of its runs."""


class Cell(NamedTuple):
    """A row of the table.

    Attributes:
        panel: the table that it belongs to; empty where there is one.
        name: the row's, unique in its panel.
        settings: fields of its runs.
        grid: field to the values that are tried.
        metric: what is best decides.
    """

    panel: str
    name: str
    settings: dict[str, Any]
    grid: dict[str, list[Any]]
    metric: str

    @property
    def title(self) -> str:
        """`PANEL/NAME`, or the name alone where there is one panel."""
        return f"{self.panel}/{self.name}".lstrip("/")

    @property
    def points(self) -> list[dict[str, Any]]:
        """The grid's product; one point without a field where there is no grid."""
        return [
            dict(zip(self.grid, v, strict=True)) for v in itertools.product(*self.grid.values())
        ]


def plan(config: Any) -> list[Cell]:
    """Reads the rows of a config.

    Raises:
        ValueError: for a field that the base does not have, a grid without values, or no seed.
    """
    parts = json.loads(json.dumps(config.to_dict()))  # tuples are lists, as in the files
    base, tuning = parts["base"], parts["tuning"]
    if not parts["seeds"] or not parts["rows"]:
        raise ValueError("config.seeds and config.rows: give at least one of each")
    cells = []
    for title, row in parts["rows"].items():
        panel, _, name = title.rpartition("/")
        fields = {key: value for key, value in row.items() if key not in OWN}
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


class Kept:
    """The finished runs of a cell, in one file that is written anew after each."""

    def __init__(self, workdir: Path, cell: Cell, runner: str) -> None:
        self.path = workdir / "cells" / cell.panel / f"{cell.name}.json"
        fixed = {k: v for k, v in cell.settings.items() if k not in cell.grid}
        self._inputs, self.runs = {"runner": runner} | fixed, []
        found = shapes.read(self.path, _KEPT, "remove its folder")
        if found is not None:
            self._check(found["inputs"])
            self.runs = found["runs"]

    def _check(self, begun: dict[str, Any]) -> None:
        now = self._inputs
        differ = sorted(k for k in begun | now if begun.get(k, "tuned") != now.get(k, "tuned"))
        if differ:
            shown = "; ".join(
                f"{k}: {begun.get(k, 'tuned')!r} there, {now.get(k, 'tuned')!r} now" for k in differ
            )
            raise ValueError(
                f"{self.path} was begun with other settings ({shown}): use another --workdir, or remove it"
            )

    def find(self, point: dict[str, Any], seed: int) -> dict[str, Any] | None:
        """The results of a run, None where it has not been done."""
        same = (run for run in self.runs if (run["point"], run["seed"]) == (point, seed))
        return next((run["results"] for run in same), None)

    def add(
        self, point: dict[str, Any], seed: int, results: dict[str, Any], seconds: float
    ) -> None:
        """Keeps a run."""
        run = {"point": point, "seed": seed, "seconds": round(seconds, 3), "results": results}
        self.runs.append(run)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        atomic.write_text(self.path, json.dumps({"inputs": self._inputs, "runs": self.runs}) + "\n")
