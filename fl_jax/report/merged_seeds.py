"""Merges runs of one experiment with different seeds: variance between seeds and between patients.

All seeds share the hold-out, so its variance splits as in `evaluation.seed_variance`. If the seed also splits
patients into training and test, sites have different test patients in each run; for those only mean and
spread over seeds are given, where the spread is due to seed and patients together.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from fl_jax.evaluation.bootstrap import Resampled, difference
from fl_jax.evaluation.bootstrap_metrics import measure
from fl_jax.evaluation.operating_points import youden_thresholds
from fl_jax.evaluation.predictions import Predictions
from fl_jax.evaluation.seed_variance import Spread, spread
from fl_jax.files.jsonable import jsonable
from fl_jax.report import results
from fl_jax.report.formatting import csv_text, display_name, fixed, limits, percent, signed
from fl_jax.report.rendering import render_html
from fl_jax.workdir import Records

COLUMNS = ("data", "model", "minus", "statistic", "label", *Spread._fields)
TABLES = {"auroc/micro": "Micro AUROC", "auroc/macro": "Macro AUROC"}
"""Titles of the statistics that the page and the Markdown show."""

Runs = Mapping[str, Records]
"""Records by run, such as its workdir."""
RunPredictions = dict[str, dict[str, list[Predictions]]]
"""[data set][model], one item a run."""


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
                _measure(one, chosen, resamples, (seed, number), same[data])
                for one, chosen in zip(each, thresholds[name], strict=True)
            ]
            for name, each in models.items()
        }
        spreads[data] = {name: _clipped(_table(each, level)) for name, each in measured.items()}
        federated = measured.pop("federated", [])
        differences[data] = {
            name: _table([difference(*both) for both in zip(federated, each, strict=True)], level)
            for name, each in measured.items()
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
                "patients": [np.unique(one.patient).size for one in next(iter(models.values()))],
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
        if all(data in other for other in sets):
            models = [name for name in sets[0][data] if all(name in one[data] for one in sets)]
            shared[data] = {name: [one[data][name] for one in sets] for name in models}
    shared = {data: models for data, models in shared.items() if models}
    if not shared:
        raise ValueError(
            f"the runs {', '.join(runs)} have no data set and model in common: "
            "merge runs of one dataset"
        )
    return shared


def _same_images(models: Mapping[str, Sequence[Predictions]]) -> bool:
    """Whether every run judged the same slices of the same patients."""
    first, *others = (one for each in models.values() for one in each)
    return all(
        np.array_equal(getattr(one, field), getattr(first, field))
        for one in others
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
        name: {**table[name]._asdict(), "values": [float(one.estimate[row]) for one in runs]}
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
    return csv_text([*COLUMNS, *(run["name"] for run in merged["runs"])], rows)


def as_markdown(merged: Mapping[str, Any]) -> str:
    """AUROC and differences on the primary data set: a row a model, a column a seed."""
    parts = []
    seeds = [f"seed {run['seed']}" for run in merged["runs"]]
    level = percent(merged["bootstrap"]["level"])
    for name, title in TABLES.items():
        head = [f"{title}, {display_name(merged['primary'])}", *seeds, f"mean ({level})"]
        head += ["between seeds", "between patients"]
        lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
        for data, model, minus, statistic, cell in _lines(merged):
            if data == merged["primary"] and statistic == name:
                label = display_name(model) + (f" − {display_name(minus)}" if minus else "")
                lines.append(f"| {label} | {' | '.join(_printed(cell, bool(minus)))} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _printed(cell: Mapping[str, Any], is_difference: bool) -> list[str]:
    number = signed if is_difference else fixed
    mean = f"{number(cell['mean'])} ({limits(cell, difference=is_difference)})"
    return [*map(number, cell["values"]), mean, fixed(cell["between"]), fixed(cell["within"])]


def render(merged: Mapping[str, Any]) -> str:
    """Renders the self-contained page of the result of `compute`."""
    return render_html("merged_seeds.html", r=merged, tables=TABLES)
