"""The study's question answered in one sentence with its interval, from the results alone.

How close does the federation come to pooled training, and does each hospital gain? A difference is called
one only where its interval leaves out 0.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from fl_jax.data.site_names import ALL_SITES, HOLDOUT
from fl_jax.report import gains

ALPHA = 0.05
"""Of a test, after adjustment."""


def fixed(value: float | None, digits: int = 3) -> str:
    """A number with a fixed count of decimals.

    Args:
        value: None where undefined.
        digits: after the point.

    Returns:
        Such as "0.951"; an en dash where undefined; a true minus sign, never "−0.000".
    """
    if value is None:
        return "–"
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text.replace("-", "−")


def signed(value: float | None, digits: int = 3) -> str:
    """A difference with its sign; arguments as for `fixed`."""
    text = fixed(value, digits)
    return f"+{text}" if value is not None and float(f"{value:.{digits}f}") > 0 else text


def spread(interval: Mapping[str, Any], digits: int = 3, *, difference: bool = False) -> str:
    """An interval's limits: "0.940–0.961"; of a difference "−0.011 to +0.002", "+0.0003 to +0.063"."""
    if interval.get("low") is None or interval.get("high") is None:
        return "no interval"
    if difference:
        return f"{_limit(interval['low'], digits)} to {_limit(interval['high'], digits)}"
    return f"{fixed(interval['low'], digits)}–{fixed(interval['high'], digits)}"


def _limit(value: float, digits: int) -> str:
    """A difference's limit, with more decimals where fewer would hide on which side of 0 it lies."""
    enough = (n for n in range(digits, digits + 4) if float(f"{value:.{n}f}"))
    return signed(value, next(enough, digits))


def p_value(p: float | None) -> str:
    """A p-value with four decimals, "< 0.0001" below them; an en dash where undefined."""
    return "< 0.0001" if p is not None and p < 0.0001 else fixed(p, 4)


def percent(share: float) -> str:
    """A share in [0, 1], such as "95 %", which no line breaks."""
    return f"{100 * share:g}\u00a0%"


def sentence(results: Mapping[str, Any]) -> str:
    """The answer.

    Args:
        results: of `results.compute`, as JSON has them (null for undefined).

    Returns:
        One sentence; two where the hospitals get models of their own.
    """
    data, statistic = results["primary"]["data"], results["primary"]["statistic"]
    table = results["performance"][data]
    if "federated" not in table:
        return "There is no federated model among the predictions, so the question stays open."
    kind, label = statistic.split("/")
    reached = table["federated"][kind][label]
    patients = results["data_sets"][data]["patients"]
    who = "hold-out patients" if data == HOLDOUT else "test patients of all hospitals"
    told = (
        f"{fixed(reached['estimate'])} ({spread(reached)}) over all labels, "
        f"{_gap(results, 'federated', data, statistic)}"
    )
    if delivered(results) == "federated":
        return (
            f"On {patients} {who} the federated model reaches an AUROC of {told}; "
            f"{_hospitals(results)}."
        )
    own = results["performance"][ALL_SITES]["personal"][kind][label]
    algorithm = ((results.get("run") or {}).get("config") or {}).get("algorithm", "the algorithm")
    return (
        f"On {patients} {who} the federation's global model reaches an AUROC of {told}. "
        f"{algorithm} gives each hospital its own version of it: on the test patients of all hospitals "
        f"these reach {fixed(own['estimate'])} ({spread(own)}), "
        f"{_gap(results, 'personal', ALL_SITES, statistic)}; {_hospitals(results)}."
    )


def delivered(results: Mapping[str, Any]) -> str:
    """What the hospitals get from the federation: "personal" models, or else the "federated" one."""
    return "personal" if "personal" in results["performance"].get(ALL_SITES, {}) else "federated"


def _gap(results: Mapping[str, Any], model: str, data: str, statistic: str) -> str:
    if data not in results[f"{model}_minus_central"]:
        return "with no pooled training to compare it with"
    gap = results[f"{model}_minus_central"][data][statistic]
    if gap["estimate"] is None:
        return "and its difference from pooled training is undefined"
    side = "below" if gap["estimate"] < 0 else "above"
    text = f"{fixed(abs(gap['estimate']))} {side} training on pooled scans "
    text += f"({percent(results['bootstrap']['level'])} interval of the difference "
    text += spread(gap, difference=True)
    within = gap["low"] is not None and gap["low"] <= 0 <= gap["high"]
    return text + (", so the two cannot be told apart)" if within else ")")


def margin(results: Mapping[str, Any], statistic: str = "micro") -> str:
    """Whether the federation is non-inferior to pooled training, in one sentence; empty without both."""
    found = (results["non_inferiority"] or {}).get(statistic)
    if found is None:
        return ""
    said = {
        "non-inferior": "is non-inferior to pooled training",
        "inferior": "is inferior to pooled training",
        "inconclusive": "is not shown to be non-inferior to pooled training, nor to be inferior",
        "undefined": "cannot be judged",
    }[found["verdict"]]
    return (
        f"For a margin of {found['margin']:g} AUROC the federation {said} (difference "
        f"{spread(found, difference=True)}, DeLong's interval with patients as clusters)."
    )


def judged(results: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """By site, the gain from what the hospitals get: see `gains.gains`."""
    return {
        site: gains.delivered(gain, delivered(results)) for site, gain in results["gains"].items()
    }


def caution(results: Mapping[str, Any]) -> str:
    """What of the hospitals' gains is left by a test for many comparisons, and who has few patients.

    Args:
        results: of `results.compute`, as JSON has them.

    Returns:
        A sentence or two; empty without a gain or loss.
    """
    found = {
        site: gain
        for site, gain in judged(results).items()
        if gain["verdict"] in ("gains", "loses")
    }
    if not found:
        return ""
    tests = results["delong_differences"][f"{delivered(results)}_minus_local"]
    name = results["primary"]["statistic"].split("/")[1]
    p = {site: tests[site][f"local_{site}"][name]["p_holm"] for site in found}
    left = [site for site, value in p.items() if value is not None and value < ALPHA]
    number = sum(len(row) for row in tests.values())
    said = (
        f"After Holm's adjustment over all {number} tests of the federation against local models "
    )
    said += f"{_group(left, 'still differs', 'still differ')}." if left else "none still differs."
    few = [site for site in found if results["data_sets"][site]["patients"] < gains.FEW]
    if few:
        said += (
            f" Intervals and tests on fewer than {gains.FEW} patients, as {_group(few, 'has', 'have')}, are "
            "too sure of themselves."
        )
    return said


def _hospitals(results: Mapping[str, Any]) -> str:
    found = judged(results)
    if not found:
        return "there are no local models to compare it with"
    groups = {
        verdict: [site for site, gain in found.items() if gain["verdict"] == verdict]
        for verdict in ("gains", "loses", "unclear", "undefined")
    }
    count = len(found)
    if len(groups["gains"]) == count > 1:
        return f"on their own test patients all {count} hospitals gain over a model of their own"
    won = groups["gains"]
    named = f" ({', '.join(won)})" if won else ""
    parts = [
        f"{len(won) or 'none'} of {count} hospitals gain{'' if len(won) > 1 else 's'} over a model "
        f"of {'their' if len(won) > 1 else 'its'} own{named}",
        _group(groups["loses"], "loses", "lose") if groups["loses"] else "none loses",
    ]
    if groups["unclear"]:
        parts.append(_group(groups["unclear"], "shows", "show") + " no clear difference")
    if groups["undefined"]:
        parts.append(_group(groups["undefined"], "has", "have") + " too few patients to tell")
    return f"on their own test patients {', '.join(parts[:-1])} and {parts[-1]}"


def _group(sites: Sequence[str], one: str, many: str) -> str:
    """The hospitals by name, or by number where they are many, with their verb."""
    if len(sites) > 3:
        return f"{len(sites)} {many}"
    listed = f"{', '.join(sites[:-1])} and {sites[-1]}" if len(sites) > 1 else sites[0]
    return f"{listed} {one if len(sites) == 1 else many}"
