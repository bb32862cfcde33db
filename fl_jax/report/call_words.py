"""Which slices and patients are called and why, in words."""

from collections.abc import Mapping
from typing import Any

from fl_jax.core.types import ANY, LABELS
from fl_jax.evaluation.call_rule import FEWEST, Rule
from fl_jax.evaluation.operating_points import SPECIFICITY
from fl_jax.report.formatting import fixed, grouped, limits, percent, singular


def slice_rule(rule: Rule, unit: str = "slices") -> str:
    """How a slice is called: "threshold 0.371 (90 % specificity on 309 normal slices of ...)"."""
    threshold = rule.slices[ANY]
    why = (
        f"{percent(SPECIFICITY)} specificity on {_count(threshold.negatives, 'normal', unit)} of the "
        f"{_count(threshold.patients, 'validation', 'patients')}"
        if threshold.chosen
        else f"fixed, because validation has {_count(threshold.negatives, 'normal', unit)}: a threshold "
        f"is chosen on those of at least {FEWEST} patients"
    )
    return f"threshold {fixed(threshold.value)} ({why})"


def patient_rule(rule: Rule) -> str:
    """How a patient is called."""
    threshold = rule.patients[ANY]
    seen = f"{threshold.positives} validation patients with and {threshold.negatives} without hemorrhage"
    if threshold.chosen:
        return f"threshold {fixed(threshold.value)} (maximises sensitivity + specificity on {seen})"
    return f"called if one of the slices is: {seen} are too few to choose a threshold on"


def subtype_rule(rule: Rule) -> str:
    """How subtypes are named, with the labels that have no threshold by patient."""
    lacking = [
        label
        for label, threshold in zip(LABELS, rule.patients, strict=True)
        if label != LABELS[ANY] and not threshold.chosen
    ]
    text = "Subtypes of a called patient are named at thresholds chosen likewise"
    if not lacking:
        return f"{text}."
    return f"{text}; validation has too few patients for a threshold of {', '.join(lacking)}."


def called_shares(evaluation: Mapping[str, Any], unit: str) -> str:
    """The shares of normal and of bleeding slices that are called, from the result of `labelled_scans`."""
    shares = evaluation["called"][evaluation["primary"]]
    parts = [f"{_percent(shares[kind])} of {kind} {unit}" for kind in ("normal", "bleeding")]
    return f"Called at {evaluation['rule']}: {' and '.join(parts)}."


def _percent(share: Mapping[str, Any]) -> str:
    if share["estimate"] is None:
        return "an unknown share, there being none,"
    scaled = {end: None if share[end] is None else 100 * share[end] for end in ("low", "high")}
    return f"{fixed(100 * share['estimate'], 1)} % ({limits(scaled, 1)})"


def _count(number: int, kind: str, unit: str) -> str:
    return f"{grouped(number)} {kind} {singular(unit) if number == 1 else unit}"
