"""One study, trained with several seeds: what other patients and what another seed would change.

The hold-out is the same for every seed, so that its uncertainty is taken apart as `evaluation.seeds` says.
Where a seed also deals the patients to training and test, those of the sites differ from study to study:
of these only mean and spread over seeds are given, and the spread is that of seed and patients together.
"""

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from fl_jax.evaluation.bootstrap import Resampled, difference
from fl_jax.evaluation.bootstrap_metrics import measure
from fl_jax.evaluation.operating_points import youden_thresholds
from fl_jax.evaluation.predictions import Predictions
from fl_jax.evaluation.seed_variance import Spread, spread
from fl_jax.files.jsonable import jsonable
from fl_jax.report import answer, documents, page, results
from fl_jax.workdir import Records

COLUMNS = ("data", "model", "minus", "statistic", "label", *Spread._fields)
SHOWN = {"auroc/micro": "Micro AUROC", "auroc/macro": "Macro AUROC"}

Rows = dict[str, dict[str, list[Predictions]]]
"""[data set][model], one for each study."""


def compute(
    studies: Mapping[str, Records],
    *,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    free: Sequence[str] = (),
) -> dict[str, Any]:
    """Merges studies that differ in their seed alone.

    Args:
        studies: of `read_records`, by a name such as the workdir's; at least 2.
        resamples: bootstrap resamples of patients, the same for every study.
        seed: of the resampling.
        level: coverage of the intervals.
        free: keys of the config, beside `seed`, that may differ as they change no number.

    Returns:
        Plain JSON, None where undefined: "runs", "bootstrap", "primary", "models", "data_sets"
        ("same_patients", "patients" by run), "spread" by [data set][model][statistic] and "differences" by
        [data set][model][statistic], the federated less the model: the fields of `Spread`, and "values" by
        run.

    Raises:
        ValueError: fewer than 2 studies, two of one seed, a config that differs in more than the seed, no
            model or no data set that all studies have.
    """
    if len(studies) < 2:
        raise ValueError(f"studies holds {len(studies)}: give at least 2, trained with other seeds")
    runs = _runs(studies, free)
    rows = _rows(studies)
    same = {data: _same(list(models.values())) for data, models in rows.items()}
    thresholds = {
        name: [
            youden_thresholds(results.own_validation(name, s.predictions[name]))
            for s in studies.values()
        ]
        for name in next(iter(rows.values()))
    }
    spreads: dict[str, Any] = {}
    differences: dict[str, Any] = {}
    for number, (data, models) in enumerate(rows.items()):
        measured = {
            name: [
                _measured(one, chosen, resamples, (seed, number), same[data])
                for one, chosen in zip(each, thresholds[name], strict=True)
            ]
            for name, each in models.items()
        }
        spreads[data] = {name: _bounded(_table(found, level)) for name, found in measured.items()}
        differences[data] = {
            name: _table([difference(*both) for both in zip(ours, found, strict=True)], level)
            for ours in [measured.get("federated", [])]
            for name, found in measured.items()
            if ours and name != "federated"
        }
    found = {
        "format": 1,
        "runs": runs,
        "bootstrap": {"resamples": resamples, "seed": seed, "level": level},
        "primary": results.primary_of(rows),
        "models": list(thresholds),
        "data_sets": {data: _counts(models, same[data]) for data, models in rows.items()},
        "spread": spreads,
        "differences": differences,
    }
    return jsonable(found)


def _runs(studies: Mapping[str, Records], free: Sequence[str]) -> list[dict[str, Any]]:
    """Name and seed of every study, after a check that they differ in nothing else."""
    configs: dict[str, Mapping[str, Any]] = {}
    for name, study in studies.items():
        configs[name] = study.config
        if "seed" not in configs[name]:
            raise ValueError(
                f"{name}: no manifest.json with a config, so its seed is unknown; run launch.experiment"
            )
    first = next(iter(configs))
    seen: dict[Any, str] = {}
    for name, config in configs.items():
        for key in sorted(config.keys() | configs[first].keys()):
            mine, other = config.get(key), configs[first].get(key)
            if key not in ("seed", *free) and mine != other:
                raise ValueError(
                    f"{name} was run with {key}={mine!r}, {first} with {other!r}: "
                    "merge studies that differ in --config.seed alone"
                )
        if config["seed"] in seen:
            raise ValueError(
                f"{name} and {seen[config['seed']]} were both run with seed={config['seed']}: "
                "repeat the study with another --config.seed"
            )
        seen[config["seed"]] = name
    return [{"name": name, "seed": config["seed"]} for name, config in configs.items()]


def _rows(studies: Mapping[str, Records]) -> Rows:
    sets = [results.data_sets(study.predictions) for study in studies.values()]
    shared = [data for data in sets[0] if all(data in other for other in sets)]
    found: Rows = {}
    for data in shared:
        models = [name for name in sets[0][data] if all(name in other[data] for other in sets)]
        if models:
            found[data] = {name: [one[data][name] for one in sets] for name in models}
    if not found:
        raise ValueError(
            f"the studies {', '.join(studies)} have no data set and model in common: "
            "merge studies of one dataset"
        )
    return found


def _same(models: Sequence[Sequence[Predictions]]) -> bool:
    """Whether every study judged the same slices of the same patients."""
    first = models[0][0]
    return all(
        np.array_equal(getattr(one, field), getattr(first, field))
        for each in models
        for one in each
        for field in ("image", "patient", "truth")
    )


def _measured(
    data: Predictions, thresholds: Any, resamples: int, seed: Sequence[int], same: bool
) -> Resampled:
    """Without resamples where the studies' patients differ, as those could not be compared."""
    if same:
        return measure(data, thresholds, resamples=resamples, seed=seed)
    found = measure(data, thresholds, resamples=1, seed=seed)
    return found._replace(samples=np.full_like(found.samples, np.nan))


def _table(found: Sequence[Resampled], level: float) -> dict[str, Any]:
    table = spread(found, level)
    return {
        name: {**table[name]._asdict(), "values": [float(one.estimate[row]) for one in found]}
        for row, name in enumerate(found[0].names)
    }


def _bounded(table: dict[str, Any]) -> dict[str, Any]:
    """The mean's interval is symmetric, and may reach beyond what an area or a rate can be."""
    return {
        name: {**cell, "low": max(cell["low"], 0.0), "high": min(cell["high"], 1.0)}
        for name, cell in table.items()
    }


def _counts(models: Mapping[str, Sequence[Predictions]], same: bool) -> dict[str, Any]:
    first = next(iter(models.values()))
    return {"same_patients": same, "patients": [np.unique(one.patient).size for one in first]}


def _lines(found: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str, Mapping[str, Any]]]:
    """Data set, model, the model that is taken off, statistic, and the cell."""
    for data in found["data_sets"]:
        for model, cells in found["spread"][data].items():
            yield from ((data, model, "", name, cell) for name, cell in cells.items())
        for model, cells in found["differences"][data].items():
            yield from ((data, "federated", model, name, cell) for name, cell in cells.items())


def as_csv(found: Mapping[str, Any]) -> str:
    """Every spread in a line of its own, with the value of each run; empty where undefined."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*COLUMNS, *(run["name"] for run in found["runs"])])
    for data, model, minus, name, cell in _lines(found):
        numbers = [*(cell[field] for field in Spread._fields), *cell["values"]]
        writer.writerow([data, model, minus, *name.split("/"), *numbers])
    return out.getvalue()


def as_json(found: Mapping[str, Any]) -> str:
    """The text of the results' file."""
    return json.dumps(found, indent=1, allow_nan=False) + "\n"


def as_markdown(found: Mapping[str, Any]) -> str:
    """The primary data's AUROCs and differences, a row a model, a column a seed."""
    parts = []
    titles = [f"seed {run['seed']}" for run in found["runs"]]
    level = answer.percent(found["bootstrap"]["level"])
    for name, title in SHOWN.items():
        head = [f"{title}, {page.title(found['primary'])}", *titles, f"mean ({level})"]
        head += ["between seeds", "other patients"]
        lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
        for data, model, minus, statistic, cell in _lines(found):
            if data == found["primary"] and statistic == name:
                label = page.title(model) + (f" − {page.title(minus)}" if minus else "")
                lines.append(f"| {label} | {' | '.join(_said(cell, bool(minus)))} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _said(cell: Mapping[str, Any], signed: bool) -> list[str]:
    number: Callable[[float | None], str] = answer.signed if signed else answer.fixed
    mean = f"{number(cell['mean'])} ({answer.spread(cell, difference=signed)})"
    return [
        *map(number, cell["values"]),
        mean,
        *(answer.fixed(cell[k]) for k in ("between", "within")),
    ]


def render(found: Mapping[str, Any]) -> str:
    """Draws the page, which stands alone and is forbidden the network."""
    return documents.render("seeds.html", r=found, shown=SHOWN)
