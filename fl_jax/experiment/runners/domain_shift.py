"""One arm on one family of phantoms, judged on another family that it has never seen.

A run's fields are those of `fl_jax.experiment.runners.cohort`, and `shifted`, the seed, scale, matrix and
family of the cohort that judges; it is drawn once for all runs, like every training cohort. Its seed must
differ from that of the training cohort, or it would have the same patients.

Results: the statistics of `fl_jax.evaluation.transfer` on the hold-out of the training cohort, `own_<name>`,
and on all patients of the other cohort, `shifted_<name>`; `drop_<name>`, own minus shifted; and by resample
with `_samples`. The threshold of `called` is chosen on validation slices, see
`fl_jax.evaluation.call_rule`. `best_round` by validation, planned `examples`, `parameters`.
"""

import json
import threading
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from fl_jax.core.types import ANY
from fl_jax.data import slices as datasets
from fl_jax.data.site_names import HOLDOUT
from fl_jax.data.slices import Slices
from fl_jax.evaluation import call_rule, tissue, transfer
from fl_jax.evaluation.bootstrap import Floats, Resampled
from fl_jax.evaluation.predictions import Predictions
from fl_jax.experiment import data, machine
from fl_jax.experiment.config import Cohort, Config
from fl_jax.experiment.runners import cohort
from fl_jax.files.folders import claim, remove
from fl_jax.workdir import Workdir

Settings = dict[str, Any]
OWN = ("partition_seed", "shifted")
"""Fields of a run besides those of `Config`."""


def domain_shift(
    seeds: Sequence[int], folder: Path | None = None
) -> Callable[[Settings, int], dict[str, Any]]:
    """Makes the function that does one run.

    Args:
        seeds: not used.
        folder: for cohorts, datasets, partitions and the checkpoints of unfinished runs.

    Returns:
        `(settings, seed) -> results`; one thread trains at a time. It raises ValueError for a field that is
        unknown, out of range, or does not fit.

    Raises:
        ValueError: folder is None.
    """
    del seeds
    if folder is None:
        raise ValueError("folder=None: domain_shift() needs a folder for cohorts and checkpoints")
    lock, home = threading.Lock(), folder

    @lru_cache(maxsize=2)
    def opened(text: str) -> tuple[Slices, Floats]:
        """A dataset as the model reads it, and its areas of soft tissue."""
        config = Config.parse(json.loads(text))
        slices = data.in_memory(config, data.open_data(config, Workdir(home)))
        return slices, _area(config, np.arange(len(slices)))

    def run(settings: Settings, seed: int) -> dict[str, Any]:
        fields = {name: value for name, value in settings.items() if name not in OWN}
        machine.use_threads(Config.parse(fields).threads)  # before the checks, which use JAX
        config = Config.of(fields | {"seed": seed})
        shifted = _other(config, settings["shifted"])
        with lock:
            claim(home, "sweep", flag="--workdir")
            config = cohort.prepare_data(config, home)
            partition = config.replace(seed=settings["partition_seed"])
            text = json.dumps(partition.to_dict(), sort_keys=True)
            folder = home / cohort.digest(text)
            slices, divided = cohort.open_data(partition, folder)
            here = folder / str(seed)
            planned = data.experiment(config, slices, divided)
            fitted = cohort.fit(config, here, planned, config.arm)
            other = opened(json.dumps(cohort.prepare_data(shifted, home).to_dict()))
            results = _judge(config, fitted, planned, other)
            remove(here, "sweep")
        return results

    return run


def _area(config: Config, rows: np.ndarray) -> Floats:
    """Areas of soft tissue in HU as scanned, whatever the model reads."""
    return tissue.measure(datasets.load(Path(config.data_dir)), rows).soft


def _other(config: Config, values: Settings) -> Config:
    """The config that prepares and reads the other cohort as the training's is."""
    if config.data_dir or config.arm == "local":
        raise ValueError(
            f"data_dir={config.data_dir!r}, arm={config.arm!r}: must be a cohort and federated or central"
        )
    other = Cohort(**values)
    if other.seed == config.cohort.seed:
        raise ValueError(
            f"shifted.seed={other.seed}: is that of cohort.seed, so that the same patients would train and "
            "judge the model; choose another"
        )
    return config.replace(cohort=other)


def _judge(
    config: Config, fitted: cohort.Fitted, planned: data.Experiment, other: tuple[Slices, Floats]
) -> dict[str, Any]:
    slices, divided = planned.slices, planned.partition

    def predicted(of: Slices, rows: np.ndarray, split: str) -> Predictions:
        scores = expit(fitted.score(of, rows)[0])
        return Predictions(
            image=of.image[rows],
            patient=of.patient[rows],
            site=of.site[rows],
            split=np.full(rows.size, split),
            truth=of.labels[rows],
            scores=scores,
        )

    validation = predicted(slices, divided.rows(slices, "validation"), "validation")
    threshold = call_rule.choose(validation).slices[ANY].value
    rows = divided.rows(slices, HOLDOUT)
    own = transfer.measure(
        predicted(slices, rows, HOLDOUT),
        _area(config, rows),
        threshold,
        resamples=config.resamples,
    )
    shifted = transfer.measure(
        predicted(other[0], np.arange(len(other[0])), "test"),
        other[1],
        threshold,
        resamples=config.resamples,
        seed=1,
    )
    drop = Resampled(own.names, own.estimate - shifted.estimate, own.samples - shifted.samples)
    results: dict[str, Any] = {}
    for prefix, each in (("own", own), ("shifted", shifted), ("drop", drop)):
        for name, value, samples in zip(each.names, each.estimate, each.samples, strict=True):
            results[f"{prefix}_{name}"] = float(value)
            results[f"{prefix}_{name}_samples"] = samples.round(6).tolist()
    return results | {"threshold": float(threshold)} | fitted.facts
