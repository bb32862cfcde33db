"""fl_jax: functional federated learning between hospitals in JAX.

Importing it gives pure functions: it starts no TensorFlow, seeds nothing and logs nothing. Data
(`fl_jax.data`), evaluation, checkpoints and the report are imported by name when they are needed.
"""

from fl_jax.core import client, keys, spec, types
from fl_jax.core import layouts as round
from fl_jax.faults import simulation as simulate
from fl_jax.tasks import task

__all__ = ["client", "keys", "round", "simulate", "spec", "task", "types"]
