"""fl_jax: functional federated learning between hospitals in JAX.

Importing it gives pure functions: it starts no TensorFlow, seeds nothing and logs nothing. Data
(`fl_jax.data`), evaluation, checkpoints and the report are imported by name when they are needed.
"""

from fl_jax import client, keys, round, simulate, spec, task, types

__all__ = ["client", "keys", "round", "simulate", "spec", "task", "types"]
