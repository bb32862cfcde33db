"""Cross-site validation: every model on every site's test patients.

    matrix[data site][model] = the statistic with its interval, and the model's rank on those data

Rank 1 is the highest estimate. Equal estimates share the better rank; an undefined one has none. The
published study reports that the federated model ranks among the top three on every site's data.
"""

from typing import Any

import numpy as np

from fl_jax.evaluation.bootstrap import intervals
from fl_jax.evaluation.comparisons import Measured, competition_ranks, stacked

STATISTICS = ("auroc/macro", "auroc/micro")


def cross_site(
    measured: Measured, *, level: float = 0.95
) -> dict[str, dict[str, dict[str, dict[str, Any]]]]:
    """Tabulates data sites by models.

    Args:
        measured: [data site][model], all models resampled on the same patients of a data site.
        level: coverage of the intervals.

    Returns:
        [data site][model][statistic] = {"estimate", "low", "high", "undefined", "resamples", "rank"};
        numbers only, NaN where undefined.

    Raises:
        ValueError: a data site lacks a model that another one has, or a model lacks a statistic.
    """
    matrix: dict[str, dict[str, dict[str, dict[str, Any]]]] = {
        data: {model: {} for model in row} for data, row in measured.items()
    }
    tables = [[intervals(r, level) for r in row.values()] for row in measured.values()]
    for name in STATISTICS if measured else ():
        models, estimates, _ = stacked(measured, name)
        ranks = competition_ranks(estimates[..., None])[..., 0]
        for at, (data, row) in enumerate(measured.items()):
            for model, table in zip(row, tables[at], strict=True):
                rank = ranks[at, models.index(model)]
                place = None if np.isnan(rank) else int(rank)
                matrix[data][model][name] = {**table[name]._asdict(), "rank": place}
    return matrix
