"""The page that stands in for the report while arms train: no interval, no figure, no `results.json`."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fl_jax.data.site_names import HOLDOUT
from fl_jax.evaluation import roc
from fl_jax.files.atomic import write_text
from fl_jax.report.rendering import render_html
from fl_jax.workdir import Workdir


def write(workdir: Workdir, complete: Sequence[str], training: Sequence[str]) -> None:
    """Writes the page as the report's file, which the report then replaces.

    Args:
        workdir: of the experiment.
        complete: the arms that have predictions.
        training: the arms that still train or wait; at least one.
    """
    rows = [_row(workdir, name) for name in complete]
    with workdir.lock("report"):
        write_text(workdir.report, render_html("interim.html", rows=rows, training=training))


def _row(workdir: Workdir, arm: str) -> dict[str, Any]:
    done, predictions = workdir.arm(arm).read_done(), workdir.read_predictions(arm)
    row: dict[str, Any] = {"arm": arm, "done": done}
    for name in ("test", HOLDOUT):
        rows = np.zeros(0, bool) if predictions is None else predictions.split == name
        pooled = None
        if predictions is not None and rows.any():
            pooled = roc.auroc(predictions.truth[rows].ravel(), predictions.scores[rows].ravel())
        row[name] = None if pooled is None or np.isnan(pooled) else pooled
    return row
