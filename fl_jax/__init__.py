"""Federated learning between hospitals as pure JAX functions.

Importing it starts no TensorFlow, seeds nothing and logs nothing.
"""

from typing import Any

from fl_jax import aggregators, algorithms
from fl_jax.aggregators import (
    bulyan,
    centered_clip,
    drive,
    geometric_median,
    krum,
    median,
    process,
    quantize,
    secure_sum,
    top_k,
    trimmed_mean,
    weighted_mean,
)
from fl_jax.algorithms import (
    agnostic,
    apfl,
    cyclic,
    ditto,
    fed_adagrad,
    fed_adam,
    fed_ala,
    fed_avg,
    fed_avgm,
    fed_bn,
    fed_buff,
    fed_dyn,
    fed_exp,
    fed_newton,
    fed_nova,
    fed_per,
    fed_prox,
    fed_rep,
    fed_sam,
    fed_yogi,
    ifca,
    mime,
    mime_lite,
    p_fed_me,
    q_fed_avg,
    scaffold,
)
from fl_jax.core.federate import federate
from fl_jax.core.layouts import State, init, whole_round
from fl_jax.core.sites import Sites, central, local
from fl_jax.core.types import Aggregator, Algorithm, Batch, Client, Report
from fl_jax.tasks.multi_class import multi_class
from fl_jax.tasks.multi_label import multi_label
from fl_jax.tasks.positive_weights import positive_weights
from fl_jax.tasks.task import Task

__all__ = [
    "Aggregator",
    "Algorithm",
    "Batch",
    "Client",
    "Report",
    "Sites",
    "State",
    "Task",
    "agnostic",
    "apfl",
    "bulyan",
    "centered_clip",
    "central",
    "cyclic",
    "ditto",
    "drive",
    "fed_adagrad",
    "fed_adam",
    "fed_ala",
    "fed_avg",
    "fed_avgm",
    "fed_bn",
    "fed_buff",
    "fed_dyn",
    "fed_exp",
    "fed_newton",
    "fed_nova",
    "fed_per",
    "fed_prox",
    "fed_rep",
    "fed_sam",
    "fed_yogi",
    "federate",
    "geometric_median",
    "ifca",
    "init",
    "krum",
    "local",
    "median",
    "mime",
    "mime_lite",
    "multi_class",
    "multi_label",
    "p_fed_me",
    "positive_weights",
    "process",
    "q_fed_avg",
    "quantize",
    "scaffold",
    "secure_sum",
    "top_k",
    "trimmed_mean",
    "weighted_mean",
    "whole_round",
]


def __getattr__(name: str) -> Any:
    """Finds new algorithms and aggregators by the name of their file."""
    if not name.startswith("_"):
        for package in (algorithms, aggregators):
            try:
                return getattr(package, name)
            except AttributeError:
                continue
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
