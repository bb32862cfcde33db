"""AUROC intervals and tests by DeLong's method with patients as clusters, and ranks of models over hospitals.

Each clustered interval comes with the naive one, which treats slices as independent as the published study
does. The federated model is tested against every local model on every hospital's patients, and so are
personalised models; Holm's adjustment covers all tests of one kind and statistic. Non-inferiority to central
training is decided on the primary data set.
"""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from fl_jax.data.site_names import ALL_SITES, HOLDOUT
from fl_jax.evaluation import comparisons
from fl_jax.evaluation.comparisons import Measured
from fl_jax.evaluation.delong import Estimate
from fl_jax.evaluation.delong_by_label import LabelAreas, delong_estimates, label_areas
from fl_jax.evaluation.predictions import Predictions
from fl_jax.report.gains import FEDERATION_MODELS, TOO_FEW

TESTED = ("micro", "macro")
MULTI_SITE = (ALL_SITES, HOLDOUT)
"""Data sets that are not one hospital's."""

DataSets = Mapping[str, Mapping[str, Predictions]]
"""[data set][model]."""


def sections(
    data_sets: DataSets,
    measured: Measured,
    primary: str,
    *,
    margin: float,
    level: float,
    too_few: Collection[str] = (),
) -> dict[str, Any]:
    """The parts of `results.json` about tests and ranks.

    Args:
        data_sets: predictions by [data set][model].
        measured: their resamples, with another seed for each data set.
        primary: the data set that decides non-inferiority.
        margin: non-inferiority margin in AUROC, > 0.
        level: coverage of the intervals.
        too_few: data sets below `gains.MINIMUM`: without tests, ranks and a place as the worst site.

    Returns:
        "delong" by [data set][model][label, macro or micro]; "delong_differences" with
        "federated_minus_central" by [data set][label], "federated_minus_local" by [data set][local
        model][statistic] with "p_holm", and the same for "personal", empty without such models;
        "non_inferiority" by statistic, None without both models; "ranks" and "worst_site" by
        [statistic][model].

    Raises:
        ValueError: margin is not above 0.
    """
    table = {
        data: {model: label_areas(rows) for model, rows in models.items()}
        for data, models in data_sets.items()
    }
    sites = {data: row for data, row in measured.items() if data not in (*MULTI_SITE, *too_few)}
    minus_central = {model: _minus_central(table, model, level) for model in FEDERATION_MODELS}
    differences = {
        f"{model}_minus_central": {
            data: {
                name: _tested(estimate, data not in too_few)._asdict()
                for name, estimate in row.items()
            }
            for data, row in rows.items()
        }
        for model, rows in minus_central.items()
    }
    differences |= {
        f"{model}_minus_local": _minus_local(table, model, level, too_few)
        for model in FEDERATION_MODELS
    }
    statistics = [f"auroc/{name}" for name in TESTED]
    return {
        "delong": auroc_intervals(table, level),
        "delong_differences": differences,
        "non_inferiority": _non_inferiority(
            minus_central["federated"].get(primary), margin, primary in too_few
        ),
        "ranks": {name: _ranks(sites, name, level) for name in statistics},
        "worst_site": {name: _worst_site(sites, name, level) for name in statistics},
    }


def auroc_intervals(
    table: Mapping[str, Mapping[str, LabelAreas]], level: float
) -> dict[str, dict[str, Any]]:
    """[data set][model][label, macro or micro]: clustered `Estimate` fields, "naive_low" and "naive_high"."""
    return {
        data: {model: _auroc_intervals(areas, level) for model, areas in row.items()}
        for data, row in table.items()
    }


def _auroc_intervals(areas: LabelAreas, level: float) -> dict[str, Any]:
    """Without p, which would test an AUROC against 0."""
    naive = delong_estimates(areas, level=level, by_patient=False)
    cells = {}
    for name, clustered in delong_estimates(areas, level=level).items():
        naive_limits = {"naive_low": naive[name].low, "naive_high": naive[name].high}
        cells[name] = {k: v for k, v in clustered._asdict().items() if k != "p"} | naive_limits
    return cells


def _minus_central(
    table: Mapping[str, Mapping[str, LabelAreas]], model: str, level: float
) -> dict[str, Mapping[str, Estimate]]:
    return {
        data: delong_estimates(row[model], row["central"], level=level)
        for data, row in table.items()
        if {model, "central"} <= set(row)
    }


def _minus_local(
    table: Mapping[str, Mapping[str, LabelAreas]],
    model: str,
    level: float,
    too_few: Collection[str],
) -> dict[str, Any]:
    """Global and personalised models answer two questions, so their tests are adjusted separately."""
    pairs = {
        (data, local): (row[model], row[local])
        for data, row in table.items()
        if data not in MULTI_SITE and model in row
        for local in row
        if local.startswith("local_")
    }
    return holm_adjusted(pairs, level, too_few)


def holm_adjusted(
    pairs: Mapping[tuple[str, str], tuple[LabelAreas, LabelAreas]],
    level: float,
    too_few: Collection[str] = (),
) -> dict[str, dict[str, dict[str, Any]]]:
    """Tests many pairs of models, with Holm's adjustment over all pairs of one statistic.

    Args:
        pairs: by (data set, name of the pair), both models evaluated on the same images.
        level: coverage of the intervals.
        too_few: data sets whose differences are not tested: p is NaN.

    Returns:
        [data set][name][micro or macro]: `Estimate` fields of first - second, and "p_holm".
    """
    estimates = {key: delong_estimates(*pair, level=level) for key, pair in pairs.items()}
    table: dict[str, Any] = {}
    for name in TESTED:
        family = [
            _tested(estimate[name], data not in too_few)
            for (data, _), estimate in estimates.items()
        ]
        holm = comparisons.holm([test.p for test in family]).tolist()
        for (data, model), test, p in zip(estimates, family, holm, strict=True):
            table.setdefault(data, {}).setdefault(model, {})[name] = {**test._asdict(), "p_holm": p}
    return table


def _tested(estimate: Estimate, enough: bool) -> Estimate:
    """The estimate, without its p if the data set has too few patients for a test."""
    return estimate if enough else estimate._replace(p=np.nan)


def _non_inferiority(
    differences: Mapping[str, Estimate] | None, margin: float, too_few: bool
) -> dict[str, Any] | None:
    if differences is None:
        return None
    return {
        name: {
            **comparisons.non_inferiority(differences[name], margin)._asdict(),
            **({"p": np.nan, "verdict": TOO_FEW} if too_few else {}),
            **{key: getattr(differences[name], key) for key in ("estimate", "low", "high")},
        }
        for name in TESTED
    }


def _ranks(sites: Measured, statistic: str, level: float) -> dict[str, Any]:
    """Ranks over the sites' data sets, without the hold-out."""
    return {
        model: {
            **rank.mean._asdict(),
            **{"top": rank.top, "first": rank.first, "places": rank.places},
        }
        for model, rank in comparisons.ranks(sites, statistic, level=level).items()
    }


def _worst_site(sites: Measured, statistic: str, level: float) -> dict[str, Any]:
    return {
        model: {"site": site, **interval._asdict()}
        for model, (site, interval) in comparisons.worst_site(sites, statistic, level=level).items()
    }
