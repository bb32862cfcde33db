"""What went wrong in the trainings, counted from the lines of `metrics.jsonl`."""

from collections.abc import Mapping, Sequence
from typing import Any

from fl_jax.workdir.schema import RoundRecord

UNUSED = "round not used"
"""What a void round is called; it is of the whole federation and of no site."""


def incidents(
    learning: Mapping[str, Sequence[RoundRecord]],
) -> dict[str, list[dict[str, Any]]]:
    """Counts by model what was left out, which simulated faults struck, and which rounds were not used.

    Args:
        learning: rounds by model.

    Returns:
        By model the rows of a table: `kind` (`left out`, `simulated` or `round`), `what`, `site` and the
        `rounds`; models without any are not there.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for model, rows in learning.items():
        table: dict[tuple[str, str, str], list[int]] = {}
        for row in rows:
            for site, reason in row.left_out.items():
                table.setdefault(("left out", reason, site), []).append(row.round)
            for fault, sites in row.faults.items():
                for site in sites:
                    table.setdefault(("simulated", fault, site), []).append(row.round)
            if row.void:
                table.setdefault(("round", UNUSED, ""), []).append(row.round)
        if table:
            found[model] = [
                {"kind": kind, "what": what, "site": site, "rounds": numbers}
                for (kind, what, site), numbers in sorted(table.items())
            ]
    return found
