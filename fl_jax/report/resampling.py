"""The bootstrap over patients of every model on every data set, and the intervals beside its percentiles.

Every data set has a seed of its own, because ranks across hospitals take their resamples for independent; the
models of one data set meet the same resamples. Models are resampled side by side: NumPy and SciPy leave the
interpreter free for most of it, and the numbers are the same on any count of threads.
"""

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from fl_jax.evaluation.bootstrap import Interval, Resampled, intervals
from fl_jax.evaluation.bootstrap_metrics import COMPARED, jackknife, measure, undefined
from fl_jax.evaluation.delong_by_label import delong_estimates, label_areas
from fl_jax.evaluation.predictions import Predictions


def measured(
    data_sets: Mapping[str, Mapping[str, Predictions]],
    thresholds: Mapping[str, Any],
    *,
    resamples: int,
    seed: int,
) -> dict[str, dict[str, Resampled]]:
    """Resamples everything.

    Args:
        data_sets: predictions by [data set][model].
        thresholds: float64[L], every model's operating point.
        resamples: R.
        seed: of the resampling.

    Returns:
        [data set][model], with every model on every data set; undefined where it has no answer.
    """

    def one(number: int, data: str, model: str) -> Resampled:
        rows = data_sets[data].get(model)
        if rows is None:
            return undefined(resamples)
        return measure(rows, thresholds[model], resamples=resamples, seed=(seed, number))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        waiting = {
            data: {model: pool.submit(one, number, data, model) for model in thresholds}
            for number, data in enumerate(data_sets)
        }
        return {
            data: {model: work.result() for model, work in row.items()}
            for data, row in waiting.items()
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
        resampled: of `measured`, by model.
        thresholds: float64[L], every model's operating point.
        level: coverage of the intervals.

    Returns:
        The fields of `Interval` by [model][statistic].
    """
    found = {}
    for model, data in models.items():
        accelerated = intervals(resampled[model], level, jackknife(data, thresholds[model]))
        found[model] = {name: accelerated[name]._asdict() for name in COMPARED}
    return found


def naive(models: Mapping[str, Predictions], level: float) -> dict[str, Any]:
    """DeLong's intervals of the micro AUROC as if slices were independent; nothing is resampled.

    Args:
        models: predictions by model.
        level: coverage of the intervals.

    Returns:
        The fields of `Interval` of the federated and the central model.
    """
    found = {}
    for model in ("federated", "central"):
        if model in models:
            whole = delong_estimates(label_areas(models[model]), level=level, by_patient=False)[
                "micro"
            ]
            found[model] = Interval(whole.estimate, whole.low, whole.high, 0, 0)._asdict()
    return found
