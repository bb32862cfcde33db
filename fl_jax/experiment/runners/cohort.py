"""One arm on CT, evaluated at each site, at the other sites and on the hold-out patients.

A run's fields are those of `Config`, and `partition_seed`, which selects the test patients, so that all seeds
share them. The seed sets initial parameters, order and participation.

- `arm`: federated, central, or local, which trains one model per site
- `data_dir`: a prepared dataset; if empty, the synthetic cohort of `cohort`, prepared in the sweep's folder
- `resamples`: bootstrap resamples of patients

Results: AUROC as `<own, other or holdout>_<macro or micro>`, see `fl_jax.evaluation.internal_external`, and
by resample with `_samples`; `micro_at_<site>` of the model that the site uses and `best_micro_at_<site>` of
the best model there; `best_round` by validation, planned `examples`, `parameters`: means over several models.
"""

import dataclasses
import hashlib
import json
import threading
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from numpy.typing import NDArray

from fl_jax.data.partition import Partition
from fl_jax.data.slices import Slices
from fl_jax.evaluation import internal_external
from fl_jax.experiment import data, machine, predict, prepare, rounds, setup
from fl_jax.experiment.config import Config
from fl_jax.files.folders import claim, remove
from fl_jax.phantom.family import parse
from fl_jax.workdir import Workdir

Settings = dict[str, Any]
PARTITION = ("partition", "seed", "fractions", "stratify", "folds", "fold", "adjacent", "intensity")
"""Fields that determine how a dataset is read and partitioned."""


class Fitted(NamedTuple):
    """The M models of a trained arm.

    Attributes:
        score: `(slices, rows int[N]) -> logits float64[M, N, L]`, of the arm's dataset or another one.
        facts: about the training.
    """

    score: Callable[[Slices, NDArray[np.integer]], NDArray[np.float64]]
    facts: dict[str, Any]


def cohort(
    seeds: Sequence[int], folder: Path | None = None
) -> Callable[[Settings, int], dict[str, Any]]:
    """Makes the function that does one run.

    Args:
        seeds: not used.
        folder: for cohort, dataset, partition and the checkpoints of unfinished runs.

    Returns:
        `(settings, seed) -> results`; one thread trains at a time. It raises ValueError for a field that is
        unknown or out of range.

    Raises:
        ValueError: folder is None.
    """
    del seeds
    if folder is None:
        raise ValueError("folder=None: cohort() needs a folder for dataset and checkpoints")
    lock, home = threading.Lock(), folder

    @lru_cache(maxsize=2)
    def opened(text: str) -> tuple[Slices, Partition]:
        return open_data(Config.parse(json.loads(text)), home / digest(text))

    def run(settings: Settings, seed: int) -> dict[str, Any]:
        fields = {name: value for name, value in settings.items() if name != "partition_seed"}
        fields |= {"seed": seed}
        machine.use_threads(Config.parse(fields).threads)  # before the checks, which use JAX
        config = Config.of(fields)
        if config.backbone:
            raise ValueError(f"backbone={config.backbone!r}: only launch.experiment trains heads")
        with lock:
            claim(home, "sweep", flag="--workdir")
            config = prepare_data(config, home)
            keys = (*PARTITION, "data_dir", "image_size", "spacing_mm", "memory_limit", "backbone")
            values = config.replace(seed=settings["partition_seed"]).to_dict()
            text = json.dumps({k: values[k] for k in keys}, sort_keys=True)
            here = home / digest(json.dumps(settings, sort_keys=True)) / str(seed)
            results = _run(config, here, *opened(text))
            remove(here, "sweep")
        return results

    return run


def digest(text: str) -> str:
    """Twelve digits for a folder's name."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def prepare_data(config: Config, home: Path) -> Config:
    """Draws and prepares the synthetic cohort below `home`, once, if the config names no dataset."""
    if config.data_dir:
        return config
    cohort = dataclasses.asdict(config.cohort)
    numbers = dataclasses.asdict(parse(config.cohort.family))  # families of equal numbers are one
    parts = home / f"cohort_{digest(json.dumps(cohort | {'family': numbers}, sort_keys=True))}"
    data_dir = parts / f"data_{config.image_size}_{config.spacing_mm:g}"
    prepare.prepare_cohort(
        cohort,
        Workdir(parts).cohort,
        data_dir=data_dir,
        image_size=config.image_size,
        spacing_mm=config.spacing_mm,
        max_refused=config.max_refused,
    )
    return config.replace(data_dir=str(data_dir))


def open_data(config: Config, folder: Path) -> tuple[Slices, Partition]:
    """Opens a run's dataset, and its partition in `folder`, which is made if it is not there."""
    workdir = Workdir(folder)
    slices = data.open_data(config, workdir)
    return data.in_memory(config, slices), data.partition(config, workdir, slices)


def _run(config: Config, folder: Path, slices: Slices, divided: Partition) -> dict[str, Any]:
    planned = data.experiment(config, slices, divided)
    slices, sites = planned.slices, divided.sites
    names = [f"local_{s}" for s in sites] if config.arm == "local" else [config.arm]
    rows = np.concatenate([divided.rows(slices, name) for name in ("test", "holdout")])
    trained = [fit(config, folder, planned, name) for name in names]
    logits = np.concatenate([each.score(slices, rows) for each in trained])
    truth, site = slices.labels[rows], slices.site[rows]
    measured = internal_external.measure(
        truth, logits, slices.patient[rows], site, sites, resamples=config.resamples
    )
    results: dict[str, Any] = dict(zip(measured.names, measured.estimate.tolist(), strict=True))
    samples = zip(measured.names, measured.samples.round(6).tolist(), strict=True)
    results |= {f"{name}_samples": values for name, values in samples}
    at = internal_external.micro_by_site(truth, logits, site, sites)
    for number, (name, values) in enumerate(zip(sites, at, strict=True)):
        results[f"micro_at_{name}"] = float(values[number if len(values) > 1 else 0])
        results[f"best_micro_at_{name}"] = float(values.max())
    results["examples"] = sum(each.facts["examples"] for each in trained)
    for name in ("best_round", "parameters"):
        results[name] = float(np.mean([each.facts[name] for each in trained]))
    return results


def fit(config: Config, folder: Path, planned: data.Experiment, name: str) -> Fitted:
    """Trains an arm like `launch.train`, resuming from the checkpoints in `folder`."""
    arm = planned.arms[name]
    task, read = setup.make_task(config, Workdir(folder), planned.slices, arm)
    training = setup.prepare(config, arm, task, read, planned.key)
    last = rounds.train_to_end(training, folder / name)
    logits_of, best = jax.jit(task.logits), last.best
    models = [best.params]
    if best.personal is not None:
        models = [jax.tree.map(lambda x, s=s: x[s], best.personal) for s in range(len(arm.sites))]

    def score(slices: Slices, rows: NDArray[np.integer]) -> NDArray[np.float64]:
        of = read if slices is planned.slices else slices
        return np.stack([predict.score(logits_of, model, of, rows) for model in models])

    facts = {"best_round": last.facts["best_round"], "parameters": training.parameters}
    return Fitted(score, facts | {"examples": arm.budget})
