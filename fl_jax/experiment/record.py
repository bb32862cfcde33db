"""Metrics of a round as a line of `metrics.jsonl`, and the comparison of two rounds on validation."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import log_expit

from fl_jax.core.receive import REFUSED
from fl_jax.core.types import Metrics
from fl_jax.evaluation import roc
from fl_jax.experiment.arms import Arm
from fl_jax.faults.fault import Fault


def validation(logits: np.ndarray, truth: np.ndarray) -> dict[str, float | None]:
    """Macro AUROC, over labels with both classes, and mean loss on validation slices.

    Args:
        logits: float64[N, L].
        truth: [N, L] in {0, 1}.
    """
    losses = -np.where(truth > 0, log_expit(logits), log_expit(-logits))
    areas = [roc.auroc(y, x) for y, x in zip(truth.T, logits.T, strict=True)]
    defined = [area for area in areas if not np.isnan(area)]
    return {
        "val_macro_auroc": float(np.mean(defined)) if defined else None,
        "val_loss": float(losses.mean()),
    }


def better(new: dict[str, Any], facts: dict[str, Any]) -> bool:
    """The higher macro AUROC wins, then the lower loss; an undefined AUROC loses to a defined one."""
    if facts["best_val_loss"] is None:
        return True
    rank = lambda auroc, loss: (-1.0 if auroc is None else auroc, -loss)  # noqa: E731
    return rank(new["val_macro_auroc"], new["val_loss"]) > rank(
        facts["best_val_macro_auroc"], facts["best_val_loss"]
    )


def of_round(
    arm: Arm, number: int, metrics: Metrics, seconds: float, faults: Sequence[Fault]
) -> dict[str, Any]:
    """A round's metrics by site name, as JSON values.

    Args:
        arm: the training.
        number: the round's, from 1.
        metrics: see `fl_jax.core.layouts`.
        seconds: wall clock.
        faults: in the order of `metrics["struck"]`.
    """
    present, accepted = np.asarray(metrics["participating"]), np.asarray(metrics["accepted"])
    examples, loss = np.asarray(metrics["examples"]), np.asarray(metrics["loss"])
    aggregated, left_out = np.flatnonzero(accepted), np.flatnonzero(present & ~accepted)
    seen = int(np.nansum(examples[present]))  # NaN at a site that sent nothing
    names = lambda where: [arm.sites[site] for site in np.flatnonzero(where)]  # noqa: E731
    struck = [
        (fault.name, names(hit))
        for fault, hit in zip(faults, metrics.get("struck", ()), strict=True)
    ]
    return {
        "round": number,
        "loss": float(np.average(loss[aggregated], weights=examples[aggregated]))
        if aggregated.size
        else None,
        "examples": seen,
        "seconds": round(seconds, 3),
        "images_per_second": round(seen / seconds, 1),
        "participants": names(present),
        "site_loss": {arm.sites[site]: float(loss[site]) for site in aggregated},
        "left_out": {arm.sites[site]: _reason(metrics, int(site)) for site in left_out},
        "faults": {
            name: sorted({site for other, hit in struck if other == name for site in hit})
            for name, hits in struck
            if hits
        },
        "void": bool(metrics.get("void", False)),
    }


def _reason(metrics: Metrics, site: int) -> str:
    """Why a planned participant's message was not aggregated."""
    if metrics["dropped"][site]:
        return "dropped out"
    refused = metrics["refused"][site]
    return "absent" if np.isnan(refused) else REFUSED[int(refused)]
