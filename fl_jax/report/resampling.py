"""Bootstraps patients for every model on every data set, and BCa intervals.

Each data set has its own seed, because ranks across hospitals assume independent resamples; all models of one
data set share resamples. Models are resampled in parallel threads, since NumPy and SciPy release the GIL; the
numbers do not depend on the number of threads.
"""

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from fl_jax.evaluation.bootstrap import Resampled, intervals
from fl_jax.evaluation.bootstrap_metrics import COMPARED, jackknife, measure, undefined
from fl_jax.evaluation.comparisons import Measured
from fl_jax.evaluation.predictions import Predictions


def resample_all(
    data_sets: Mapping[str, Mapping[str, Predictions]],
    thresholds: Mapping[str, Any],
    *,
    resamples: int,
    seed: int,
) -> Measured:
    """Resamples every model on every data set.

    Args:
        data_sets: predictions by [data set][model].
        thresholds: each model's operating point, float64[L].
        resamples: R, number of resamples.
        seed: of the resampling.

    Returns:
        [data set][model] for every model of `thresholds`; undefined where a model has no predictions.
    """

    def resample(number: int, data: str, model: str) -> Resampled:
        rows = data_sets[data].get(model)
        if rows is None:
            return undefined(resamples)
        return measure(rows, thresholds[model], resamples=resamples, seed=(seed, number))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        futures = {
            data: {model: pool.submit(resample, number, data, model) for model in thresholds}
            for number, data in enumerate(data_sets)
        }
        return {
            data: {model: future.result() for model, future in row.items()}
            for data, row in futures.items()
        }


def bca(
    models: Mapping[str, Predictions],
    resampled: Mapping[str, Resampled],
    thresholds: Mapping[str, Any],
    level: float,
) -> dict[str, Any]:
    """BCa intervals on one data set.

    Args:
        models: predictions by model.
        resampled: of the same data set, by model.
        thresholds: each model's operating point, float64[L].
        level: coverage of the intervals.

    Returns:
        `Interval` fields by [model][statistic].
    """
    table = {}
    for model, data in models.items():
        accelerated = intervals(resampled[model], level, jackknife(data, thresholds[model]))
        table[model] = {name: accelerated[name]._asdict() for name in COMPARED}
    return table
