"""Errors and tests of a study's AUROCs by DeLong's method with patients as clusters, and its ranks.

Beside each clustered interval stands the naive one, which takes slices for independent as the paper's does.
The federation is tested against each local model on each hospital's patients, and so are its personal models
where a run has them; Holm's adjustment is over all of either's tests of one statistic. Non-inferiority to
pooled training is decided on the primary data.
"""

from collections.abc import Mapping
from typing import Any

from fl_jax.data.site_names import ALL_SITES, HOLDOUT
from fl_jax.evaluation import comparisons
from fl_jax.evaluation.comparisons import Measured
from fl_jax.evaluation.delong import Estimate
from fl_jax.evaluation.delong_by_label import LabelAreas, delong_estimates, label_areas
from fl_jax.evaluation.predictions import Predictions
from fl_jax.report.gains import DELIVERED

TESTED = ("micro", "macro")
NO_HOSPITAL = (ALL_SITES, HOLDOUT)
"""Data sets that are no hospital's."""

DataSets = Mapping[str, Mapping[str, Predictions]]
"""[data set][model]."""


def sections(
    data_sets: DataSets, measured: Measured, primary: str, *, margin: float, level: float
) -> dict[str, Any]:
    """The parts of `results.json` that tests and ranks fill.

    Args:
        data_sets: predictions by [data set][model].
        measured: the same, resampled with another seed for every data set.
        primary: the data set that decides about non-inferiority.
        margin: of AUROC, > 0.
        level: coverage of the intervals.

    Returns:
        "delong": [data set][model][label, macro or micro]; "delong_differences": "federated_minus_central" by
        [data set][statistic], "federated_minus_local" by [data set][local model][statistic] with "p_holm",
        and the same of "personal", empty without such models;
        "non_inferiority" by statistic, None without both models; "ranks" and "worst_site" by
        [statistic][model].

    Raises:
        ValueError: margin is not above 0.
    """
    found = {
        data: {model: label_areas(rows) for model, rows in models.items()}
        for data, models in data_sets.items()
    }
    sites = {data: row for data, row in measured.items() if data not in NO_HOSPITAL}
    central = {model: _central(found, model, level) for model in DELIVERED}
    statistics = [f"auroc/{name}" for name in TESTED]
    return {
        "delong": {
            data: {model: single(one, level) for model, one in row.items()}
            for data, row in found.items()
        },
        "delong_differences": {
            **{
                f"{model}_minus_central": {
                    data: {name: one._asdict() for name, one in row.items()}
                    for data, row in compared.items()
                }
                for model, compared in central.items()
            },
            **{f"{model}_minus_local": _local(found, model, level) for model in DELIVERED},
        },
        "non_inferiority": _margins(central["federated"].get(primary), margin),
        "ranks": {name: _ranks(sites, name, level) for name in statistics},
        "worst_site": {name: _worst(sites, name, level) for name in statistics},
    }


def single(one: LabelAreas, level: float) -> dict[str, Any]:
    """One model's AUROCs by label, macro and micro; without a test, as one against 0 would mean nothing."""
    naive = delong_estimates(one, level=level, by_patient=False)
    cells = {}
    for name, found in delong_estimates(one, level=level).items():
        beside = {"naive_low": naive[name].low, "naive_high": naive[name].high}
        cells[name] = {key: v for key, v in found._asdict().items() if key != "p"} | beside
    return cells


def _central(
    found: Mapping[str, Mapping[str, LabelAreas]], model: str, level: float
) -> dict[str, Mapping[str, Estimate]]:
    return {
        data: delong_estimates(row[model], row["central"], level=level)
        for data, row in found.items()
        if {model, "central"} <= set(row)
    }


def _local(
    found: Mapping[str, Mapping[str, LabelAreas]], model: str, level: float
) -> dict[str, Any]:
    """The global model's tests and the personal models' are two families: two questions."""
    pairs = {
        (data, local): (row[model], row[local])
        for data, row in found.items()
        if data not in NO_HOSPITAL and model in row
        for local in row
        if local.startswith("local_")
    }
    return adjusted(pairs, level)


def adjusted(
    pairs: Mapping[tuple[str, str], tuple[LabelAreas, LabelAreas]], level: float
) -> dict[str, dict[str, dict[str, Any]]]:
    """Tests many pairs of models; Holm's adjustment is over all pairs, for each statistic of its own.

    Args:
        pairs: by data set and name of the pair; both models on the same images.
        level: coverage of the intervals.

    Returns:
        [data set][name][micro or macro], the fields of `Estimate` of first - second, and "p_holm".
    """
    estimates = {key: delong_estimates(*both, level=level) for key, both in pairs.items()}
    table: dict[str, Any] = {}
    for name in TESTED:
        family = [found[name] for found in estimates.values()]
        holm = comparisons.holm([test.p for test in family]).tolist()
        for (data, model), test, p in zip(estimates, family, holm, strict=True):
            table.setdefault(data, {}).setdefault(model, {})[name] = {**test._asdict(), "p_holm": p}
    return table


def _margins(central: Mapping[str, Estimate] | None, margin: float) -> dict[str, Any] | None:
    if central is None:
        return None
    return {
        name: {
            **comparisons.non_inferiority(central[name], margin)._asdict(),
            **{key: getattr(central[name], key) for key in ("estimate", "low", "high")},
        }
        for name in TESTED
    }


def _ranks(sites: Measured, statistic: str, level: float) -> dict[str, Any]:
    """Of the models that are on every site's data."""
    return {
        model: {
            **found.mean._asdict(),
            "top": found.top,
            "first": found.first,
            "places": found.places,
        }
        for model, found in comparisons.ranks(sites, statistic, level=level).items()
    }


def _worst(sites: Measured, statistic: str, level: float) -> dict[str, Any]:
    return {
        model: {"site": site, **interval._asdict()}
        for model, (site, interval) in comparisons.worst_site(sites, statistic, level=level).items()
    }
