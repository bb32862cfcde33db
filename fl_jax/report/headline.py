"""The experiment's result in a few sentences, from `results.json` alone.

How close does federated training come to central training, and does each hospital gain? The text claims a
difference only where its interval excludes 0.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from fl_jax.data.site_names import ALL_SITES, HOLDOUT
from fl_jax.report import gains
from fl_jax.report.formatting import fixed, limits, percent

ALPHA = 0.05
"""Significance level of the Holm-adjusted tests."""


def sentence(results: Mapping[str, Any]) -> str:
    """The headline.

    Args:
        results: `results.json`, read back (null where undefined).

    Returns:
        One sentence; two where the algorithm personalises models.
    """
    data, statistic = results["primary"]["data"], results["primary"]["statistic"]
    table = results["performance"][data]
    if "federated" not in table:
        return "There are no predictions of a federated model, so there is nothing to compare."
    metric, label = statistic.split("/")
    federated = table["federated"][metric][label]
    patients = results["data_sets"][data]["patients"]
    who = "hold-out patients" if data == HOLDOUT else "test patients of all hospitals"
    score = (
        f"{fixed(federated['estimate'])} ({limits(federated)}) over all labels, "
        f"{_gap(results, 'federated', data, statistic)}"
    )
    if delivered_model(results) == "federated":
        return (
            f"On {patients} {who} the federated model reaches an AUROC of {score}; "
            f"{_hospitals(results)}."
        )
    personal = results["performance"][ALL_SITES]["personal"][metric][label]
    algorithm = ((results.get("run") or {}).get("config") or {}).get("algorithm", "the algorithm")
    return (
        f"On {patients} {who} the federation's global model reaches an AUROC of {score}. "
        f"{algorithm} personalises it for each hospital: on the test patients of all hospitals the "
        f"personalised models reach {fixed(personal['estimate'])} ({limits(personal)}), "
        f"{_gap(results, 'personal', ALL_SITES, statistic)}; {_hospitals(results)}."
    )


def delivered_model(results: Mapping[str, Any]) -> str:
    """The model that hospitals receive: "personal" where the algorithm personalises, else "federated"."""
    return "personal" if "personal" in results["performance"].get(ALL_SITES, {}) else "federated"


def _gap(results: Mapping[str, Any], model: str, data: str, statistic: str) -> str:
    if data not in results[f"{model}_minus_central"]:
        return "with no central model to compare it with"
    gap = results[f"{model}_minus_central"][data][statistic]
    if gap["estimate"] is None:
        return "and its difference from central training is undefined"
    side = "below" if gap["estimate"] < 0 else "above"
    text = f"{fixed(abs(gap['estimate']))} {side} central training"
    if results["data_sets"][data]["too_few"]:
        return f"{text}, with too few patients to say which is better"
    if gap["low"] in (None, gap["high"]):
        return f"{text}, without an interval"
    text += f" ({percent(results['bootstrap']['level'])} interval of the difference "
    text += limits(gap, difference=True)
    within = gap["low"] <= 0 <= gap["high"]
    return text + (", which includes 0)" if within else ")")


def non_inferiority(results: Mapping[str, Any], statistic: str = "micro") -> str:
    """Whether federated training is non-inferior to central training; empty if either model is missing."""
    test = (results["non_inferiority"] or {}).get(statistic)
    if test is None:
        return ""
    verdict = {
        "non-inferior": "is non-inferior to central training",
        "inferior": "is inferior to central training",
        "inconclusive": "is neither shown to be non-inferior to central training nor to be inferior",
        "undefined": "cannot be compared with central training",
        gains.TOO_FEW: "cannot be compared with central training, for lack of patients",
    }[test["verdict"]]
    return (
        f"At a margin of {test['margin']:g} AUROC, federated training {verdict} (difference "
        f"{limits(test, difference=True)}, DeLong interval clustered by patient)."
    )


def site_gains(results: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Each site's gain from the model that it receives: see `gains.site_gains`."""
    model = delivered_model(results)
    return {site: gains.gain_from(gain, model) for site, gain in results["gains"].items()}


def caveats(results: Mapping[str, Any]) -> str:
    """Which gains survive adjustment for multiple testing, and which sites have few patients.

    Args:
        results: `results.json`, read back.

    Returns:
        One or two sentences; empty if no site clearly gains or loses.
    """
    decided = [
        site for site, gain in site_gains(results).items() if gain["verdict"] in ("gains", "loses")
    ]
    if not decided:
        return ""
    model = delivered_model(results)
    tests = results["delong_differences"][f"{model}_minus_local"]
    label = results["primary"]["statistic"].split("/")[1]
    p = {site: tests[site][f"local_{site}"][label]["p_holm"] for site in decided}
    significant = [site for site, value in p.items() if value is not None and value < ALPHA]
    tested = [test[label]["p_holm"] for row in tests.values() for test in row.values()]
    number = len(tested) - tested.count(None)
    text = f"After Holm's adjustment over all {number} tests of the {model} against local models, "
    text += _group(significant, "still differs", "still differ") if significant else "none differs"
    few = [site for site in decided if results["data_sets"][site]["patients"] < gains.FEW_PATIENTS]
    if few:
        text += (
            f"; with fewer than {gains.FEW_PATIENTS} test patients ({', '.join(few)}), intervals are too "
            "narrow and p too small"
        )
    return text + "."


def _hospitals(results: Mapping[str, Any]) -> str:
    verdicts = {site: gain["verdict"] for site, gain in site_gains(results).items()}
    if not verdicts:
        return "there are no local models to compare it with"
    gain, lose, unclear, few = (
        [site for site, verdict in verdicts.items() if verdict == name]
        for name in ("gains", "loses", "unclear", gains.TOO_FEW)
    )
    count, singular = len(verdicts), len(gain) <= 1
    if len(gain) == count > 1:
        every = "both" if count == 2 else f"all {count}"
        return f"{every} hospitals gain over their local models, each on its own test patients"
    names = f" ({', '.join(gain)})" if gain else ""
    parts = [
        f"{len(gain) or 'none'} of {count} hospitals gain{'s' if singular else ''} over "
        f"{'its local model' if singular else 'their local models'}{names}",
        _group(lose, "loses", "lose") if lose else "none loses",
    ]
    if unclear:
        parts.append(_group(unclear, "shows", "show") + " no clear difference")
    if few:
        parts.append(_group(few, "has", "have") + " too few patients to say")
    return f"on their own test patients, {', '.join(parts[:-1])} and {parts[-1]}"


def _group(sites: Sequence[str], singular: str, plural: str) -> str:
    """Names up to three hospitals, counts more of them, and appends the verb."""
    if len(sites) > 3:
        return f"{len(sites)} {plural}"
    names = f"{', '.join(sites[:-1])} and {sites[-1]}" if len(sites) > 1 else sites[0]
    return f"{names} {singular if len(sites) == 1 else plural}"
