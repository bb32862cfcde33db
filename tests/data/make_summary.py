"""A dataset's `summary.json` for tests that have no dataset."""

import hashlib
import json
import pathlib
from typing import Any

from fl_jax.core.types import LABELS
from fl_jax.data.metadata import FILES, VERSION, seal
from fl_jax.data.sources.listing import COUNTS
from fl_jax.files.regular import sha256


def summary(sites: dict[str, dict[str, Any]] | None = None, **changes: Any) -> dict[str, Any]:
    """A valid summary; counts of a site that are not given are 0."""
    zeros = dict.fromkeys(
        ("patients", "studies", "slices", "shared_pictures", "linked_patients"), 0
    )
    zeros |= dict.fromkeys(COUNTS, 0)
    nothing = {"positives": dict.fromkeys(LABELS, 0), "refused": {}, "repairs": {}}
    names = (*FILES, "slices/ct_slices-slices.array_record-00000")
    made: Any = {
        "version": VERSION,
        "digest": "d",
        "options": {"layout": "sites", "image_size": 8, "repairs": [], "spacing_mm": 0.0},
        "versions": {},
        "refused": 0.0,
        "sites": {name: zeros | nothing | site for name, site in (sites or {}).items()},
        "files": {name: {"bytes": 0, "sha256": hashlib.sha256().hexdigest()} for name in names},
        "seal": "",
    } | changes
    return made | {"seal": seal(made)}


def write(folder: pathlib.Path, *parts: Any, **changes: Any) -> None:
    """Writes `summary(...)` into a dataset's folder, whose files must exist or stay absent."""
    (folder / "summary.json").write_text(json.dumps(summary(*parts, **changes)))
    reseal(folder)


def reseal(folder: pathlib.Path, **changes: Any) -> None:
    """Makes a dataset's summary fit its files, as one who changes them on purpose would."""
    made = json.loads((folder / "summary.json").read_text()) | changes
    for name, file in made["files"].items():
        path = folder / name
        if path.exists():
            file |= {"bytes": path.stat().st_size, "sha256": sha256(path)}
    made["seal"] = seal(made)
    (folder / "summary.json").write_text(json.dumps(made))
