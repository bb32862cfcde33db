"""Federated algorithms: one file each, with a function of the file's name."""

from typing import Any

from fl_jax.algorithms.agnostic import agnostic
from fl_jax.algorithms.apfl import apfl
from fl_jax.algorithms.cyclic import cyclic
from fl_jax.algorithms.ditto import ditto
from fl_jax.algorithms.fed_adagrad import fed_adagrad
from fl_jax.algorithms.fed_adam import fed_adam
from fl_jax.algorithms.fed_avg import fed_avg
from fl_jax.algorithms.fed_avgm import fed_avgm
from fl_jax.algorithms.fed_bn import fed_bn
from fl_jax.algorithms.fed_buff import fed_buff
from fl_jax.algorithms.fed_dyn import fed_dyn
from fl_jax.algorithms.fed_newton import fed_newton
from fl_jax.algorithms.fed_nova import fed_nova
from fl_jax.algorithms.fed_per import fed_per
from fl_jax.algorithms.fed_prox import fed_prox
from fl_jax.algorithms.fed_rep import fed_rep
from fl_jax.algorithms.fed_sam import fed_sam
from fl_jax.algorithms.fed_yogi import fed_yogi
from fl_jax.algorithms.ifca import ifca
from fl_jax.algorithms.mime import mime
from fl_jax.algorithms.mime_lite import mime_lite
from fl_jax.algorithms.q_fed_avg import q_fed_avg
from fl_jax.algorithms.scaffold import scaffold
from fl_jax.core import spec

__all__ = [
    "agnostic",
    "apfl",
    "cyclic",
    "ditto",
    "fed_adagrad",
    "fed_adam",
    "fed_avg",
    "fed_avgm",
    "fed_bn",
    "fed_buff",
    "fed_dyn",
    "fed_newton",
    "fed_nova",
    "fed_per",
    "fed_prox",
    "fed_rep",
    "fed_sam",
    "fed_yogi",
    "ifca",
    "mime",
    "mime_lite",
    "q_fed_avg",
    "scaffold",
]


def __getattr__(name: str) -> Any:
    """Finds a new file of this folder by its name, so that it needs no line here."""
    function = spec.plug_in(__name__, name)
    if function is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = function  # in place of the module, which Python sets
    return function
