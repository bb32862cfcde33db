"""What each hospital gains by joining: the federation's model minus the hospital's local model.

    gain = AUROC(federated or personal) - AUROC(local_<site>), paired: same test patients, same resamples

A personalising algorithm delivers the model `personal`, one version of the global model per hospital. Where a
run has it, both `personal` and `federated` are compared with the local model on the hospital's test patients.
On the hold-out, whose patients belong to no hospital, only `federated` is compared.
"""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from fl_jax.data.site_names import HOLDOUT
from fl_jax.evaluation.bootstrap import Resampled, difference, intervals
from fl_jax.evaluation.bootstrap_metrics import COMPARED
from fl_jax.evaluation.comparisons import Measured

FEDERATION_MODELS = ("personal", "federated")
"""Models that a federation may deliver to a hospital, the preferred one first."""
FEW_PATIENTS = 20
"""Below this, bootstrap and DeLong intervals are too narrow."""
MINIMUM = 5
"""Below so many patients with a bleed, or so many without, an interval means nothing, or has no width."""
TOO_FEW = "too few to say"


def paired_difference(first: Resampled, second: Resampled, level: float) -> dict[str, Any]:
    """first - second on the same resamples: `Interval` fields by statistic of `COMPARED`."""
    paired = intervals(difference(first, second), level)
    return {name: paired[name]._asdict() for name in COMPARED}


def site_gains(
    measured: Measured, statistic: str, level: float, too_few: Collection[str] = ()
) -> dict[str, Any]:
    """Every hospital's gain.

    Args:
        measured: resamples by [data set][model].
        statistic: the one that decides the verdict, such as "auroc/micro".
        level: coverage of the intervals.
        too_few: data sets below `MINIMUM`.

    Returns:
        By site with both a local and the federated model: "own" (federated minus local on the site's test
        patients) and its "verdict"; "holdout", the difference on the hold-out, if there is one; "personal"
        with "own" and "verdict" of the personalised model, if there is one.
    """
    gains: dict[str, Any] = {}
    for site, row in measured.items():
        local = f"local_{site}"
        if local not in row or "federated" not in row:
            continue
        few = site in too_few
        gains[site] = _gain(row["federated"], row[local], statistic, level, few)
        if "personal" in row:
            gains[site]["personal"] = _gain(row["personal"], row[local], statistic, level, few)
        if HOLDOUT in measured:
            holdout = measured[HOLDOUT]
            gains[site][HOLDOUT] = paired_difference(holdout["federated"], holdout[local], level)
    return gains


def gain_from(gain: Mapping[str, Any], model: str) -> Mapping[str, Any]:
    """A site's gain ("own", "verdict") from the federated or the personalised model; empty without one."""
    return gain.get("personal", {}) if model == "personal" else gain


def _gain(
    model: Resampled, local: Resampled, statistic: str, level: float, few: bool
) -> dict[str, Any]:
    gain = paired_difference(model, local, level)
    return {"own": gain, "verdict": TOO_FEW if few else verdict(gain[statistic])}


def verdict(gain: Mapping[str, float]) -> str:
    """Decides from the interval of a difference whether a hospital gains.

    Args:
        gain: "low" and "high" of the difference; NaN where undefined.

    Returns:
        "gains" if the interval lies above 0, "loses" if below, "unclear" if it includes 0, `TOO_FEW`
        without an interval, or with one that has no width.
    """
    if np.isnan(gain["low"]) or np.isnan(gain["high"]) or gain["low"] == gain["high"] != 0:
        return TOO_FEW
    return "gains" if gain["low"] > 0 else "loses" if gain["high"] < 0 else "unclear"
