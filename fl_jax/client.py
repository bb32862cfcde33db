"""Local training in steps: what every gradient-based client does between broadcast and report.

local: params <- params + u,  (u, o) = optimizer(grad loss(params, batch, key), o)
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from fl_jax.types import Array, Batch, Metrics, Params

Loss = Callable[[Params, Batch, jax.Array], jax.Array]
"""`(params, batch, key) -> float32[]`, the mean loss of the batch's real examples."""


class Local(NamedTuple):
    """What a site holds during one round.

    Attributes:
        params: the site's working copy of the model.
        optimizer: the state of its optax transformation.
        key: the randomness of the steps to come.
        examples: float32[], real examples seen this round.
        loss: float32[], the sum of their losses, each before its step.
    """

    params: Params
    optimizer: Any
    key: jax.Array
    examples: Array
    loss: Array


def start(params: Params, optimizer: Any, key: jax.Array) -> Local:
    """Begins a round at a site with no example seen."""
    return Local(params, optimizer, key, jnp.zeros(()), jnp.zeros(()))


def gradient_step(
    loss: Loss, optimizer: optax.GradientTransformation
) -> Callable[[Local, Batch], Local]:
    """Makes the local step: one gradient of the loss, one update of the optimiser.

    Args:
        loss: see `Loss`.
        optimizer: an optax transformation; whatever acts on gradients at a site is in it.

    Returns:
        `(local, batch) -> local`, pure.
    """

    def step(local: Local, batch: Batch) -> Local:
        key, step_key = jax.random.split(local.key)
        value, gradient = jax.value_and_grad(loss)(local.params, batch, step_key)
        updates, optimizer_state = optimizer.update(gradient, local.optimizer, local.params)
        params = optax.apply_updates(local.params, updates)
        examples = batch.mask.sum()
        return Local(
            params, optimizer_state, key, local.examples + examples, local.loss + value * examples
        )

    return step


def metrics(local: Local) -> Metrics:
    """Returns the round's mean loss per example and the number of examples seen."""
    return {"loss": local.loss / jnp.maximum(local.examples, 1), "examples": local.examples}
