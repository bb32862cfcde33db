"""How the server combines messages: one file each, with a function of the file's name."""

from typing import Any

from fl_jax.aggregators.bulyan import bulyan
from fl_jax.aggregators.centered_clip import centered_clip
from fl_jax.aggregators.drive import drive
from fl_jax.aggregators.geometric_median import geometric_median
from fl_jax.aggregators.krum import krum
from fl_jax.aggregators.median import median
from fl_jax.aggregators.process import process
from fl_jax.aggregators.quantize import quantize
from fl_jax.aggregators.secure_sum import secure_sum
from fl_jax.aggregators.top_k import top_k
from fl_jax.aggregators.trimmed_mean import trimmed_mean
from fl_jax.aggregators.weighted_mean import weighted_mean
from fl_jax.core import spec

__all__ = [
    "bulyan",
    "centered_clip",
    "drive",
    "geometric_median",
    "krum",
    "median",
    "process",
    "quantize",
    "secure_sum",
    "top_k",
    "trimmed_mean",
    "weighted_mean",
]


def __getattr__(name: str) -> Any:
    """Finds a new file of this folder by its name, so that it needs no line here."""
    function = spec.plug_in(__name__, name)
    if function is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = function  # in place of the module, which Python sets
    return function
