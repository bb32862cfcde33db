"""Counts what went wrong in training: refused messages, simulated faults and discarded rounds."""

from collections.abc import Mapping, Sequence
from typing import Any

from fl_jax.workdir.schema import RoundRecord

DISCARDED = "round discarded"
"""A round that too few sites completed; it concerns the whole federation, so it names no site."""


def incidents(
    metrics: Mapping[str, Sequence[RoundRecord]],
) -> dict[str, list[dict[str, Any]]]:
    """Groups incidents by model, kind, reason and site.

    Args:
        metrics: rounds by model.

    Returns:
        Table rows by model: `kind` (`refused`, `simulated` or `round`), `what`, `site` and `rounds`. Models
        without incidents are absent.
    """
    tables: dict[str, list[dict[str, Any]]] = {}
    for model, records in metrics.items():
        rounds: dict[tuple[str, str, str], list[int]] = {}
        for record in records:
            keys = [("refused", reason, site) for site, reason in record.left_out.items()]
            keys += [
                ("simulated", fault, site)
                for fault, sites in record.faults.items()
                for site in sites
            ]
            keys += [("round", DISCARDED, "")] * record.void
            for key in keys:
                rounds.setdefault(key, []).append(record.round)
        if rounds:
            tables[model] = [
                {"kind": kind, "what": what, "site": site, "rounds": numbers}
                for (kind, what, site), numbers in sorted(rounds.items())
            ]
    return tables
