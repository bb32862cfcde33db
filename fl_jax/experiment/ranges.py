"""Numbers of a config are checked before any work begins: a margin of NaN is not found out after a night.

What only one part of the library can judge, it judges when it is made: specs, partitions, windows.
"""

import math
from collections.abc import Collection
from typing import Any

RANGES: dict[str, tuple[float, float]] = {
    "seed": (0, 2**63 - 1),
    "max_refused": (0, 1),
    "memory_limit": (0, math.inf),
    "batch_size": (1, 2**20),
    "max_degrees": (0, 180),
    "positive_weight_ceiling": (1, 1e9),
    "mixup": (0, 100),
    "ema": (0, 1 - 1e-9),
    "accumulate": (1, 2**20),
    "slices_at_once": (1, 2**20),
    "rounds": (1, 2**31 - 1),
    "resamples": (1, 2**31 - 1),
    "margin": (1e-9, 1),
    "jobs": (0, 2**16),
    "threads": (0, 2**16),
}
"""Field to the least and the greatest value that it may have."""
CHOICES = {
    "void_rounds": ("skip", "stop"),
    "layout": ("auto", "sequential", "vmapped", "mesh"),
    "sampling": ("natural", "balanced"),
    "statistics": ("frozen", "aggregate", "local", "naive", "recompute"),
}


def check(config: Any, *, without: Collection[str] = ()) -> None:
    """Checks the fields of a config as `configs/ich_fed_avg.py`.

    Args:
        config: by name what they are.
        without: fields that it does not have.

    Raises:
        ValueError: for a number out of its range, or NaN, a word that is none of the choices, or a batch that
            cannot be divided.
    """
    for name, (low, high) in RANGES.items():
        if name in without:
            continue
        value = config[name]
        if not low <= value <= high:
            raise ValueError(f"config.{name}={value}: must lie in {low:.10g}..{high:.10g}")
    for name, choices in CHOICES.items():
        if config[name] not in choices:
            raise ValueError(f"config.{name}={config[name]!r}: must be one of {', '.join(choices)}")
    batch, parts = config["batch_size"], config["accumulate"]
    if batch % parts:
        raise ValueError(f"config.accumulate={parts}: must divide batch_size={batch}")
