"""The study's question answered in one sentence with its interval, from the results alone.

How close does the federation come to pooled training, and does each hospital gain? A difference is called
one only where its interval leaves out 0.
"""

from collections.abc import Mapping, Sequence
from typing import Any


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
    """An interval's limits, as "0.940–0.961", or "−0.011 to +0.002" for a difference."""
    if interval.get("low") is None or interval.get("high") is None:
        return "no interval"
    if difference:
        return f"{signed(interval['low'], digits)} to {signed(interval['high'], digits)}"
    return f"{fixed(interval['low'], digits)}–{fixed(interval['high'], digits)}"


def sentence(results: Mapping[str, Any]) -> str:
    """The answer.

    Args:
        results: of `results.compute`, as JSON has them (null for undefined).

    Returns:
        One sentence.
    """
    data, statistic = results["primary"]["data"], results["primary"]["statistic"]
    table = results["performance"][data]
    if "federated" not in table:
        return "There is no federated model among the predictions, so the question stays open."
    kind, label = statistic.split("/")
    reached = table["federated"][kind][label]
    patients = results["data_sets"][data]["patients"]
    who = "hold-out patients" if data == "holdout" else "test patients of all hospitals"
    said = (
        f"On {patients} {who} the federated model reaches an AUROC of {fixed(reached['estimate'])} "
        f"({spread(reached)}) over all labels, {_gap(results, data, statistic)}; {_hospitals(results)}."
    )
    return said + _personal(results, kind, label)


def _gap(results: Mapping[str, Any], data: str, statistic: str) -> str:
    if data not in results["federated_minus_central"]:
        return "with no pooled training to compare it with"
    gap = results["federated_minus_central"][data][statistic]
    if gap["estimate"] is None:
        return "and its difference from pooled training is undefined"
    side = "below" if gap["estimate"] < 0 else "above"
    level = f"{100 * results['bootstrap']['level']:g} %"
    text = f"{fixed(abs(gap['estimate']))} {side} training on pooled scans "
    text += f"({level} interval of the difference {spread(gap, difference=True)}"
    within = gap["low"] is not None and gap["low"] <= 0 <= gap["high"]
    return text + (", so the two cannot be told apart)" if within else ")")


def _personal(results: Mapping[str, Any], kind: str, label: str) -> str:
    """What the hospitals' own versions reach, which some algorithms train in the global model's place."""
    table = results["performance"].get("all_sites", {})
    if "personal" not in table:
        return ""
    reached = table["personal"][kind][label]
    algorithm = ((results.get("run") or {}).get("config") or {}).get("algorithm", "the algorithm")
    return (
        f" That is the global model; {algorithm} gives each hospital its own version of it, and these "
        f"reach {fixed(reached['estimate'])} ({spread(reached)}) on the test patients of all hospitals."
    )


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


def _hospitals(results: Mapping[str, Any]) -> str:
    gains = results["gains"]
    if not gains:
        return "there are no local models to compare it with"
    groups = {
        verdict: [site for site, gain in gains.items() if gain["verdict"] == verdict]
        for verdict in ("gains", "loses", "unclear", "undefined")
    }
    count = len(gains)
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
