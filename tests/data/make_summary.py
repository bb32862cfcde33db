"""A dataset's `summary.json` for tests that have no dataset."""

import json
import pathlib
from typing import Any

from fl_jax.core.types import LABELS
from fl_jax.data.metadata import VERSION
from fl_jax.data.sources.listing import COUNTS


def summary(sites: dict[str, dict[str, Any]] | None = None, **changes: Any) -> dict[str, Any]:
    """A valid summary; counts of a site that are not given are 0."""
    zeros = dict.fromkeys(
        ("patients", "studies", "slices", "shared_pictures", "linked_patients"), 0
    )
    zeros |= dict.fromkeys(COUNTS, 0)
    nothing = {"positives": dict.fromkeys(LABELS, 0), "refused": {}, "repairs": {}}
    return {
        "version": VERSION,
        "digest": "d",
        "options": {"layout": "sites", "image_size": 8, "repairs": []},
        "versions": {},
        "refused": 0.0,
        "sites": {name: zeros | nothing | site for name, site in (sites or {}).items()},
        "tables": {},
    } | changes


def write(folder: pathlib.Path, *parts: Any, **changes: Any) -> None:
    """Writes `summary(...)` into a dataset's folder."""
    (folder / "summary.json").write_text(json.dumps(summary(*parts, **changes)))
