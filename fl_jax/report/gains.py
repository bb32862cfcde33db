"""Who gains by joining: what the federation gives a hospital, less the hospital's own model.

    gain = AUROC(federated or personal) - AUROC(local_<site>), in pairs on the same resampled patients

The model `personal` is each hospital's own version of the global one, and what an algorithm that trains such
versions delivers. Where a run has it, both are compared with the hospital's own model on its own test
patients; on the hold-out, whose patients belong to no hospital, the global model alone.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fl_jax.data.site_names import HOLDOUT
from fl_jax.evaluation.bootstrap import Resampled, difference, intervals
from fl_jax.evaluation.bootstrap_metrics import COMPARED

DELIVERED = ("personal", "federated")
"""What a hospital may get from the federation; the first that a run has is what it is for."""
FEW = 20
"""Patients under which intervals and tests that count on many are too sure of themselves."""

Measured = Mapping[str, Mapping[str, Resampled]]
"""[data set][model]."""


def compared(first: Resampled, second: Resampled, level: float) -> dict[str, Any]:
    """first - second, in pairs: the fields of `Interval` of every statistic that no threshold moves."""
    found = intervals(difference(first, second), level)
    return {name: found[name]._asdict() for name in COMPARED}


def gains(measured: Measured, statistic: str, level: float) -> dict[str, Any]:
    """Every hospital's gain.

    Args:
        measured: resamples by [data set][model].
        statistic: which decides about the verdict.
        level: coverage of the intervals.

    Returns:
        By site that has a local model beside a federated one: "own" (the federated less the site's own
        model, on the site's data), its "verdict", "holdout" (the same on the hold-out) where there is one,
        and "personal": "own" and "verdict" of the personal model, where there is one.
    """
    found: dict[str, Any] = {}
    for site, row in measured.items():
        local = f"local_{site}"
        if local not in row or "federated" not in row:
            continue
        found[site] = _judged(row["federated"], row[local], statistic, level)
        if "personal" in row:
            found[site]["personal"] = _judged(row["personal"], row[local], statistic, level)
        if HOLDOUT in measured:
            held = measured[HOLDOUT]
            found[site][HOLDOUT] = compared(held["federated"], held[local], level)
    return found


def delivered(gain: Mapping[str, Any], model: str) -> Mapping[str, Any]:
    """ "own" and "verdict" of a site's gain from the federated or the personal model; empty without one."""
    return gain.get("personal", {}) if model == "personal" else gain


def _judged(model: Resampled, local: Resampled, statistic: str, level: float) -> dict[str, Any]:
    own = compared(model, local, level)
    return {"own": own, "verdict": verdict(own[statistic])}


def verdict(gain: Mapping[str, float]) -> str:
    """Who gains and who loses, from the interval of a difference.

    Args:
        gain: "estimate", "low" and "high" of (federated - local); NaN where undefined.

    Returns:
        "gains" where the interval lies above 0, "loses" where it lies below, "unclear" where it
        holds 0, "undefined" without an interval.
    """
    if np.isnan(gain["low"]) or np.isnan(gain["high"]):
        return "undefined"
    return "gains" if gain["low"] > 0 else "loses" if gain["high"] < 0 else "unclear"
