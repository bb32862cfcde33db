"""A grid of methods and seeds: every method tuned alike, repeated over seeds, compared.

Every grid point of a row runs with the tuning seeds; the point with the best mean of `tuning.metric` (the first
of equals) then runs with `seeds`. Finished runs are stored in `cells/`, so the same command resumes, and rows,
seeds and grid points may be added in between. Writes `results.json`, `table.md`, `table.csv`, `figure.png`.

| field of a sweep's config | |
|---|---|
| `runner` | what does one run, a file in `fl_jax/experiment/runners/` |
| `base` | the fields of a run, documented by the runner |
| `rows` | by `NAME` or `PANEL/NAME`, fields that differ from the base; `grid` adds to or replaces `tuning.grid` (a field that the row sets is not tuned), `metric` replaces `tuning.metric` |
| `seeds`, `tuning` | seeds of the reported runs; `seeds`, `grid` (field: values), `metric`, `highest` |
| `columns`, `reference` | metrics to report and their titles, of which the first is drawn; the row to compare with |
| `jobs` | rows side by side, a thread each; 0 chooses |
| `tables` | optional: what writes tables and figure instead, a file in `launch/sweep/tables/` |
"""  # noqa: E501

import platform
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import jax
import numpy as np

from fl_jax.core import spec
from fl_jax.files import atomic
from fl_jax.files.atomic import atomic_open
from fl_jax.files.jsonable import jsonable
from fl_jax.report import sweep_summary
from launch.cli import processes
from launch.sweep.cells import Cell, CellFile, plan

Runner = Callable[[dict[str, Any], int], dict[str, Any]]
"""`(settings, seed) -> results`: numbers, or lists of them; called from several threads."""


def best(scores: Sequence[float | None], *, highest: bool) -> int:
    """Returns the index of the best score, the first of equals; undefined scores come last."""
    known = np.array([np.nan if s is None else s for s in scores], float)
    if np.isnan(known).all():
        raise ValueError("no point of the grid gave a finite result: try smaller learning rates")
    return int(np.nanargmax(known) if highest else np.nanargmin(known))


def run_cell(
    cell: Cell, stored: CellFile, runner: Runner, config: Any, tick: Callable[[], None]
) -> dict[str, Any]:
    """Tunes a row and runs it with every seed, skipping finished runs.

    Args:
        cell: the row.
        stored: its finished runs.
        runner: does one run.
        config: see the module.
        tick: called after each run.

    Returns:
        The row as `fl_jax.report.sweep_summary.Row`, without the differences.
    """

    def one(point: dict[str, Any], seed: int) -> dict[str, Any]:
        results = stored.find(point, seed)
        if results is None:
            began = time.monotonic()
            results = jsonable(runner(cell.settings | point, seed))
            stored.add(point, seed, results, time.monotonic() - began)
            tick()
        return results

    chosen, edge = cell.points[0], []
    if len(cell.points) > 1:
        values = [
            [_value(cell, one(p, seed), cell.metric) for seed in config.tuning.seeds]
            for p in cell.points
        ]
        scores = [sweep_summary.summary(each)["mean"] for each in values]
        try:
            chosen = cell.points[best(scores, highest=config.tuning.highest)]
        except ValueError as error:
            raise ValueError(f"{cell.name}: {error}") from error
        ends = {key: (min(v), max(v)) for key, v in cell.grid.items() if _is_range(v)}
        edge = [key for key, value in chosen.items() if value in ends.get(key, ())]
    final = [one(chosen, seed) for seed in config.seeds]
    names = dict.fromkeys(name for results in final for name in results)
    for name in config.columns:
        if any(isinstance(results.get(name), list) for results in final):
            raise ValueError(
                f"config.columns: {name!r} of {cell.title!r} is a list of numbers; name a single one"
            )
    metrics = {
        name: sweep_summary.summary([results.get(name) for results in final])
        for name in (*config.columns, *names)
        if not any(isinstance(results.get(name), list) for results in final)
    }
    return {
        "panel": cell.panel,
        "name": cell.name,
        "settings": cell.settings | chosen,
        "chosen": {key: value for key, value in chosen.items() if len(cell.grid[key]) > 1},
        "edge": edge,
        "points": len(cell.points),
        "metrics": metrics,
        "seconds": round(sum(run.seconds for run in stored.runs), 1),
    }


def sweep(
    config: Any,
    workdir: Path,
    *,
    runner: Runner | None = None,
    only: Sequence[str] = (),
    tick: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Runs all rows and writes table, figure and results.

    Args:
        config: see the module.
        workdir: the folder for everything.
        runner: in the place of the config's.
        only: rows, as `NAME` in every panel or `PANEL/NAME`; empty for all.
        tick: called with the number of runs done, and of all that this call has to do.

    Raises:
        ValueError: for a config that is wrong, or a row that was begun with other settings.
    """
    began, cells = time.monotonic(), plan(config)
    unknown = set(only) - {name for cell in cells for name in (cell.name, cell.title)}
    if unknown:
        names = ", ".join(dict.fromkeys(cell.title for cell in cells))
        raise ValueError(f"--only: no row {', '.join(sorted(unknown))}; there are: {names}")
    cells = [cell for cell in cells if not only or {cell.name, cell.title} & {*only}]
    stored = [CellFile(workdir, cell, config.runner) for cell in cells]
    seeds = (*config.tuning.seeds, *config.seeds)
    do = runner or spec.build(config.runner, "fl_jax.experiment.runners", seeds, workdir / "runs")
    total, done = sum(_left(c, k, config) for c, k in zip(cells, stored, strict=True)), 0

    stop = threading.Event()

    def count() -> None:
        nonlocal done
        done += 1
        tick(done, max(total, done))

    def run(settings: dict[str, Any], seed: int) -> dict[str, Any]:
        if stop.is_set():
            raise ValueError("another row failed")
        return do(settings, seed)

    # Threads suffice, since XLA releases the interpreter's lock, and they share compiled programs and data.
    with ThreadPoolExecutor(max(config.jobs, 1)) as pool:
        futures = [
            pool.submit(run_cell, cell, k, run, config, count)
            for cell, k in zip(cells, stored, strict=True)
        ]
        try:
            for future in as_completed(futures):
                future.result()
        except BaseException:
            stop.set()  # the others stop after their current run
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    rows = [future.result() for future in futures]
    _compare(rows, config)
    results = {
        "config": config.to_dict(),
        "rows": rows,
        "runs": done,
        "wall_seconds": round(time.monotonic() - began, 1),
        "run_seconds": round(sum(row["seconds"] for row in rows), 1),
        "machine": f"{platform.machine()}, {processes.cores()} cores, {jax.devices()[0].device_kind}",
        "versions": {"python": platform.python_version(), "jax": jax.__version__},
    }
    write(results, workdir)
    if "tables" in config:
        finished = {
            cell.title: (
                row["settings"],
                [k.find({key: row["settings"][key] for key in cell.grid}, s) for s in config.seeds],
            )
            for cell, k, row in zip(cells, stored, rows, strict=True)
        }
        spec.build(config.tables, "launch.sweep.tables")(finished, workdir)
    return results


def write(results: Mapping[str, Any], workdir: Path) -> None:
    """Writes `results.json`, both tables and the figure."""
    config, rows = results["config"], results["rows"]
    columns, reference = config["columns"], config["reference"]
    atomic.write_json(workdir / "results.json", results)
    atomic.write_text(workdir / "table.md", sweep_summary.as_markdown(rows, columns, reference))
    atomic.write_text(workdir / "table.csv", sweep_summary.as_csv(rows, columns))
    with atomic_open(workdir / "figure.png", "wb") as file:
        sweep_summary.draw(rows, columns, reference).savefig(file, dpi=110)


def _compare(rows: list[dict[str, Any]], config: Any) -> None:
    for row in rows:
        same = (r for r in rows if (r["panel"], r["name"]) == (row["panel"], config.reference))
        against = next(same, None)
        for name, metric in row["metrics"].items():
            theirs = against["metrics"].get(name) if against else None
            reference = theirs["values"] if theirs else [None] * len(metric["values"])
            metric["difference"] = sweep_summary.difference(metric["values"], reference)


def _left(cell: Cell, stored: CellFile, config: Any) -> int:
    """The most runs that a row still needs; which point is chosen is not known yet."""
    tuning = len(cell.points) > 1
    points = cell.points if tuning else []
    left = sum(stored.find(p, s) is None for p in points for s in config.tuning.seeds)
    done = max(sum(stored.find(p, s) is not None for s in config.seeds) for p in cell.points)
    return left + len(config.seeds) - done


def _value(cell: Cell, results: Mapping[str, Any], metric: str) -> float | None:
    if isinstance(results.get(metric, []), list):
        numbers = [name for name, value in results.items() if not isinstance(value, list)]
        raise ValueError(
            f"{cell.name}: no single number {metric!r} to tune by; there are: {', '.join(numbers)}"
        )
    return results[metric]


def _is_range(values: Sequence[Any]) -> bool:
    return len(values) > 1 and all(isinstance(v, (int, float)) for v in values)
