"""Cross-site validation: every model on every site's test patients.

    matrix[data site][model] = the statistic with its interval, and the model's rank on those data

Rank 1 is the highest estimate. Equal estimates share the better rank; an undefined one has none. The
published study reports that the federated model ranks among the top three on every site's data.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fl_jax.evaluation.bootstrap import Resampled, intervals

STATISTICS = ("auroc/macro", "auroc/micro")


def ranks(values: Sequence[float]) -> list[int | None]:
    """Competition ranks, highest value first.

    Args:
        values: float[M], NaN where undefined.

    Returns:
        1 + the number of strictly higher values each; None for NaN.
    """
    array = np.asarray(values, np.float64)
    return [None if np.isnan(value) else 1 + int((array > value).sum()) for value in array]


def cross_site(
    measured: Mapping[str, Mapping[str, Resampled]],
    *,
    statistics: Sequence[str] = STATISTICS,
    level: float = 0.95,
) -> dict[str, dict[str, dict[str, dict[str, Any]]]]:
    """Tabulates data sites by models.

    Args:
        measured: [data site][model], all models resampled on the same patients of a data site.
        statistics: names to tabulate.
        level: coverage of the intervals.

    Returns:
        [data site][model][statistic] = {"estimate", "low", "high", "undefined", "resamples", "rank"};
        numbers only, NaN where undefined.

    Raises:
        ValueError: a data site lacks a model that another one has, or a model lacks a statistic.
    """
    everyone = {model for row in measured.values() for model in row}
    matrix: dict[str, dict[str, dict[str, dict[str, Any]]]] = {}
    for data, row in measured.items():
        lacking = sorted(everyone - set(row))
        if lacking:
            raise ValueError(
                f"measured[{data!r}] lacks the models {lacking}: evaluate every model on every site"
            )
        table = {model: intervals(resampled, level) for model, resampled in row.items()}
        matrix[data] = {model: {} for model in row}
        for name in statistics:
            absent = [model for model in row if name not in table[model]]
            if absent:
                raise ValueError(f"measured[{data!r}][{absent[0]!r}] lacks the statistic {name!r}")
            places = ranks([table[model][name].estimate for model in row])
            for model, place in zip(row, places, strict=True):
                matrix[data][model][name] = {**table[model][name]._asdict(), "rank": place}
    return matrix
