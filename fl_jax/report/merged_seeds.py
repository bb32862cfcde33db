"""Merges runs of one experiment with different seeds: variance between seeds and between patients.

All seeds share the hold-out, so its variance splits as in `evaluation.seed_variance`. If the seed also splits
patients into training and test, a site's test patients differ between runs: such a data set gets a mean and a
standard deviation over seeds, which then includes the patients, but no interval.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from fl_jax.evaluation.bootstrap import Resampled, difference
from fl_jax.evaluation.bootstrap_metrics import measure
from fl_jax.evaluation.operating_points import youden_thresholds
from fl_jax.evaluation.predictions import Predictions
from fl_jax.evaluation.seed_variance import Spread, spread
from fl_jax.files import csv_table
from fl_jax.files.jsonable import jsonable
from fl_jax.report import results
from fl_jax.report.formatting import (
    display_name,
    fixed,
    limits,
    markdown_table,
    percent,
    signed,
)
from fl_jax.report.gains import TOO_FEW
from fl_jax.report.rendering import render_html
from fl_jax.workdir import Records

COLUMNS = ("data", "model", "minus", "statistic", "label", *Spread._fields)
TABLES = {"auroc/micro": "Micro AUROC", "auroc/macro": "Macro AUROC"}
"""Titles of the statistics that the page and the Markdown show."""

Runs = Mapping[str, Records]
"""Records by run, such as its workdir."""
RunPredictions = dict[str, dict[str, list[Predictions]]]
"""[data set][model], one a run."""


def compute(
    runs: Runs,
    *,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    ignored: Sequence[str] = (),
) -> dict[str, Any]:
    """Merges runs that differ in their seed alone.

    Args:
        runs: at least 2.
        resamples: bootstrap resamples of patients, shared by all runs.
        seed: of the resampling.
        level: coverage of the intervals.
        ignored: config fields besides `seed` that may differ, because they change no number.

    Returns:
        Plain JSON, None where undefined: "runs", "bootstrap", "primary", "models", "data_sets"
        ("same_patients", "patients" by run), "spread" by [data set][model][statistic] and "differences" by
        [data set][model][statistic], federated minus the model: `Spread` fields, and "values" by run.

    Raises:
        ValueError: fewer than 2 runs, two with the same seed, configs that differ in more than the seed, or
            no model and data set that all runs have.
    """
    if len(runs) < 2:
        raise ValueError(f"runs has {len(runs)}: give at least 2, trained with different seeds")
    seeds = _seeds(runs, ignored)
    sets = _shared_sets(runs)
    same = {data: _same_images(models) for data, models in sets.items()}
    thresholds = {
        name: [
            youden_thresholds(results.visible_validation(name, run.predictions[name]))
            for run in runs.values()
        ]
        for name in next(iter(sets.values()))
    }
    spreads: dict[str, Any] = {}
    differences: dict[str, Any] = {}
    for number, (data, models) in enumerate(sets.items()):
        measured = {
            name: [
                _measure(rows, point, resamples, (seed, number), same[data])
                for rows, point in zip(predictions, thresholds[name], strict=True)
            ]
            for name, predictions in models.items()
        }
        spreads[data] = {name: _clipped(_table(values, level)) for name, values in measured.items()}
        federated = measured.pop("federated", [])
        differences[data] = {
            name: _table([difference(*pair) for pair in zip(federated, other, strict=True)], level)
            for name, other in measured.items()
            if federated
        }
    merged = {
        "format": 1,
        "runs": [{"name": name, "seed": number} for name, number in seeds.items()],
        "bootstrap": {"resamples": resamples, "seed": seed, "level": level},
        "primary": results.primary_data_set(sets),
        "models": list(thresholds),
        "data_sets": {
            data: {
                "same_patients": same[data],
                "too_few": any(
                    results.counts({"": rows})["too_few"] for rows in next(iter(models.values()))
                ),
                "patients": [np.unique(rows.patient).size for rows in next(iter(models.values()))],
            }
            for data, models in sets.items()
        },
        "spread": spreads,
        "differences": differences,
    }
    return jsonable(merged)


def _seeds(runs: Runs, ignored: Sequence[str]) -> dict[str, int]:
    """Each run's seed, after checking that the configs differ in nothing else."""
    first, reference = next((name, run.config) for name, run in runs.items())
    seeds: dict[str, int] = {}
    for name, run in runs.items():
        config = run.config
        if "seed" not in config:
            raise ValueError(
                f"{name}: no manifest with a config, so its seed is unknown; run launch.experiment"
            )
        for key in sorted(config.keys() | reference.keys()):
            value, other = config.get(key), reference.get(key)
            if key not in ("seed", *ignored) and value != other:
                raise ValueError(
                    f"{name} was run with {key}={value!r}, {first} with {other!r}: "
                    "merge runs that differ in --config.seed alone"
                )
        for earlier, number in seeds.items():
            if number == config["seed"]:
                raise ValueError(
                    f"{name} and {earlier} were both run with seed={number}: "
                    "repeat the experiment with another --config.seed"
                )
        seeds[name] = config["seed"]
    return seeds


def _shared_sets(runs: Runs) -> RunPredictions:
    """Predictions of the models that every run has, on the data sets that every run has."""
    sets = [results.data_sets(run.predictions) for run in runs.values()]
    shared: RunPredictions = {}
    for data in sets[0]:
        if all(data in run for run in sets):
            models = [name for name in sets[0][data] if all(name in run[data] for run in sets)]
            shared[data] = {name: [run[data][name] for run in sets] for name in models}
    shared = {data: models for data, models in shared.items() if models}
    if not shared:
        raise ValueError(
            f"the runs {', '.join(runs)} have no data set and model in common: "
            "merge runs of one dataset"
        )
    return shared


def _same_images(models: Mapping[str, Sequence[Predictions]]) -> bool:
    """Whether every run has predictions for the same slices of the same patients."""
    first, *others = itertools.chain.from_iterable(models.values())
    return all(
        np.array_equal(getattr(other, field), getattr(first, field))
        for other in others
        for field in ("image", "patient", "truth")
    )


def _measure(
    data: Predictions, thresholds: Any, resamples: int, seed: Sequence[int], same: bool
) -> Resampled:
    """Without resamples if the runs' patients differ, since resamples could not be paired."""
    if same:
        return measure(data, thresholds, resamples=resamples, seed=seed)
    point = measure(data, thresholds, resamples=1, seed=seed)
    return point._replace(samples=np.full_like(point.samples, np.nan))


def _table(runs: Sequence[Resampled], level: float) -> dict[str, Any]:
    table = spread(runs, level)
    return {
        name: {**table[name]._asdict(), "values": [float(run.estimate[row]) for run in runs]}
        for row, name in enumerate(runs[0].names)
    }


def _clipped(table: dict[str, Any]) -> dict[str, Any]:
    """Clips the symmetric interval of a mean to [0, 1], the range of areas and rates."""
    return {
        name: {**cell, "low": max(cell["low"], 0.0), "high": min(cell["high"], 1.0)}
        for name, cell in table.items()
    }


def _lines(merged: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str, Mapping[str, Any]]]:
    """Data set, model, the model subtracted from it or "", statistic, and the cell."""
    for data in merged["data_sets"]:
        for model, cells in merged["spread"][data].items():
            yield from ((data, model, "", name, cell) for name, cell in cells.items())
        for model, cells in merged["differences"][data].items():
            yield from ((data, "federated", model, name, cell) for name, cell in cells.items())


def as_csv(merged: Mapping[str, Any]) -> str:
    """One line a statistic, with the value of each run, from the result of `compute`."""
    rows = (
        (data, model, minus, *name.split("/"), *(cell[f] for f in Spread._fields), *cell["values"])
        for data, model, minus, name, cell in _lines(merged)
    )
    return csv_table.text([*COLUMNS, *(run["name"] for run in merged["runs"])], rows)


def as_markdown(merged: Mapping[str, Any]) -> str:
    """AUROC and differences on the primary data set: a row a model, a column a seed."""
    seeds = [f"seed {run['seed']}" for run in merged["runs"]]
    mean = f"mean ({percent(merged['bootstrap']['level'])})"
    columns = [*seeds, mean, "between seeds", "between patients"]
    tables = []
    for statistic, title in TABLES.items():
        rows = [
            _printed(model, minus, cell)
            for data, model, minus, name, cell in _lines(merged)
            if (data, name) == (merged["primary"], statistic)
        ]
        corner = f"{title}, {display_name(merged['primary'])}"
        tables.append(markdown_table([corner, *columns], rows))
    if merged["data_sets"][merged["primary"]]["too_few"]:
        tables.append(f"{TOO_FEW.capitalize()} which model is better.")
    return "\n\n".join(tables) + "\n"


def _printed(model: str, minus: str, cell: Mapping[str, Any]) -> list[str]:
    name = display_name(model) + (f" − {display_name(minus)}" if minus else "")
    number = signed if minus else fixed
    mean = f"{number(cell['mean'])} ({limits(cell, difference=bool(minus))})"
    return [name, *map(number, cell["values"]), mean, fixed(cell["between"]), fixed(cell["within"])]


def render(merged: Mapping[str, Any]) -> str:
    """Renders the self-contained page of the result of `compute`."""
    return render_html("merged_seeds.html", r=merged, tables=TABLES)
