"""What of the phantom and of the pipeline carries over to a family of phantoms that training never saw.

    python -m launch.sweep --config=configs/domain_shift.py --workdir=runs/domain_shift
    python -m launch.sweep --config=configs/domain_shift.py --workdir=runs/domain_shift \
        --only=nothing,everything --config.seeds='(0,)'

The stand-in for real scans, which no development may see: models are trained on families of phantoms and
judged on one cohort of the family `shifted`, with another anatomy, other bleeding and other scanners. Rows
change one group of the phantom's numbers or one part of the pipeline alone (`only ...`), all of them
(`everything`), or all but one (`without ...`). A training cohort is drawn once for all rows that share it;
`fl_jax/experiment/runners/domain_shift.py` has the statistics.
"""

from typing import Any

from ml_collections import ConfigDict

from configs import demo
from fl_jax.phantom.family import GROUPS

DEMO: Any = demo.get_config()
PARTS = {
    "intensity": ("intensity",),
    "spacing": ("spacing_mm",),
    "geometry": ("zoom", "shift"),
    "level": ("hu_offset", "hu_gain"),
    "texture": ("blur", "noise"),
    "rotation": ("max_degrees",),
}
PIPELINE: dict[str, dict[str, Any]] = {
    part: {name: DEMO[name] for name in names} for part, names in PARTS.items()
}
"""Parts of the demo's pipeline, as fields of a run; the base has none of them."""


def base() -> ConfigDict:
    """Fields of a run, see `fl_jax/experiment/runners/domain_shift.py`."""
    config: Any = demo.get_config()
    for part in PIPELINE.values():
        for name, value in part.items():
            config[name] = "none" if isinstance(value, str) else 0.0
    config.partition_seed = 0
    config.shifted = ConfigDict({"seed": 1, "scale": 0.5, "matrix": 128, "family": "shifted"})
    config.resamples = 500
    config.layout = "sequential"
    return config


def row(groups: set[str], parts: set[str]) -> dict[str, Any]:
    """A row with some of the phantom's groups and some parts of the pipeline."""
    swaps = [f"{group}=standard" for group in GROUPS if group in groups]
    config: Any = base()
    cohort = config.cohort.to_dict() | {"family": ", ".join(["former", *swaps])}
    fields: dict[str, Any] = {"cohort": cohort}
    for name in PIPELINE:
        if name in parts:
            fields |= PIPELINE[name]
    return fields


def rows() -> dict[str, dict[str, Any]]:
    groups, parts = {*GROUPS}, {*PIPELINE}
    result = {
        "nothing": row(set(), set()),
        "all of the phantom": row(groups, set()),
        "all of the pipeline": row(set(), parts),
        "everything": row(groups, parts),
    }
    result |= {f"only {name}": row({name}, set()) for name in GROUPS}
    result |= {f"only {name}": row(set(), {name}) for name in PIPELINE}
    result |= {f"without {name}": row(groups - {name}, parts) for name in GROUPS}
    result |= {f"without {name}": row(groups, parts - {name}) for name in PIPELINE}
    return result


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.runner = "domain_shift()"
    config.tables = "shift()"
    config.base = base()
    config.rows = ConfigDict(rows(), sort_keys=False)
    config.seeds = (0, 1, 2)
    config.tuning = ConfigDict({"seeds": (), "grid": {}, "metric": "shifted_patient"})
    config.tuning.highest = True
    config.columns = ConfigDict(
        {"shifted_patient": "shifted, by patient", "own_any": "own hold-out, any"}, sort_keys=False
    )
    config.reference = "nothing"
    config.jobs = 1  # one training at a time
    return config
