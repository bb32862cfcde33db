"""Local training for gradient-based clients: the step, its state, and a running mean.

local: params <- params + u,  (u, o) = optimizer(grad loss(params, batch, key), o)

BatchNorm statistics are updated in the forward pass of that gradient, at `params` before the step. Further
loss evaluations of an algorithm, such as at another point, leave them unchanged.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from fl_jax.core.types import Array, Batch, Metrics, Params, RunningLoss

Loss = Callable[[Params, Batch, jax.Array], jax.Array]
"""`(params, batch, key) -> float32[]`, the mean loss of the batch's real examples; may be a `RunningLoss`."""


class Local(NamedTuple):
    """A site's state during a round.

    Attributes:
        params: the site's copy of the model.
        optimizer: the optax state.
        key: the key for the remaining steps.
        examples: float32[], real examples seen this round.
        loss: float32[], the sum of their losses, each before its step.
        extra: the algorithm's additional state, see `Direction`.
        batch_stats: BatchNorm running statistics, see `fl_jax.wrappers.batch_stats`; `()` for none.
    """

    params: Params
    optimizer: Any
    key: jax.Array
    examples: Array
    loss: Array
    extra: Any = ()
    batch_stats: Any = ()


Direction = Callable[[Local, Params, Batch, jax.Array], tuple[Params, Any]]
"""`(local, gradient, batch, key) -> (direction, extra)`: replaces the optimiser's gradient and `local.extra`.
`local` is the state before the step; `gradient` was computed with `key`."""


def start(params: Params, optimizer: Any, key: jax.Array) -> Local:
    """The state at the start of a round."""
    return Local(params, optimizer, key, jnp.zeros(()), jnp.zeros(()))


def gradient_step(
    loss: Loss, optimizer: optax.GradientTransformation, direction: Direction | None = None
) -> Callable[[Local, Batch], Local]:
    """Makes the local step: one gradient of the loss, one update of the optimiser.

    Args:
        loss: see `Loss`.
        optimizer: the client's optax transformation.
        direction: what the algorithm does to the gradient before the optimiser; None for nothing.

    Returns:
        `(local, batch) -> local`, pure. It raises ValueError when `local` has BatchNorm statistics and `loss`
        is not a `RunningLoss`; a plain function around one does not qualify.
    """

    def loss_and_stats(
        params: Params, batch_stats: Any, batch: Batch, key: jax.Array
    ) -> tuple[jax.Array, Any]:
        if not jax.tree.leaves(batch_stats):
            return loss(params, batch, key), batch_stats
        if not isinstance(loss, RunningLoss):
            raise ValueError(
                "only the task's own loss updates BatchNorm statistics: pass it to `gradient_step`, and the "
                "algorithm's change of the gradient as `direction`; or set statistics='frozen'"
            )
        return loss.update(params, batch_stats, batch, key)

    def step(local: Local, batch: Batch) -> Local:
        key, step_key = jax.random.split(local.key)
        (value, batch_stats), gradient = jax.value_and_grad(loss_and_stats, has_aux=True)(
            local.params, local.batch_stats, batch, step_key
        )
        extra = local.extra
        if direction is not None:
            gradient, extra = direction(local, gradient, batch, step_key)
        updates, optimizer_state = optimizer.update(gradient, local.optimizer, local.params)
        params = optax.apply_updates(local.params, updates)
        examples = batch.mask.sum()
        loss_sum = local.loss + value * examples
        examples = local.examples + examples
        return Local(params, optimizer_state, key, examples, loss_sum, extra, batch_stats)

    return step


def metrics(local: Local) -> Metrics:
    """The round's mean loss per example, and the number of examples."""
    return {"loss": local.loss / jnp.maximum(local.examples, 1), "examples": local.examples}


class RunningMean(NamedTuple):
    """A weighted mean, accumulated over steps.

    Attributes:
        total: a pytree, the weighted sum.
        weight: float32[], the sum of the weights.
    """

    total: Any
    weight: Array


def empty_mean(like: Any) -> RunningMean:
    """A mean of no values, with the shapes of `like`."""
    return RunningMean(optax.tree.zeros_like(like), jnp.zeros(()))


def accumulate(running: RunningMean, value: Any, weight: Array | float) -> RunningMean:
    """Adds a value with a weight."""
    total = optax.tree.add_scale(running.total, weight, value)
    return RunningMean(total, running.weight + weight)


def mean(running: RunningMean) -> Any:
    """The mean; zero without values."""
    return optax.tree.scale(1 / jnp.where(running.weight > 0, running.weight, 1), running.total)


def track_broadcast_loss(loss: Loss) -> Direction:
    """Makes a `Direction` that keeps the gradient and averages the broadcast model's loss over examples.

    `local.extra` must be `(broadcast params, RunningMean)`.
    """

    def direction(
        local: Local, gradient: Params, batch: Batch, key: jax.Array
    ) -> tuple[Params, tuple[Params, RunningMean]]:
        params, running = local.extra
        running = accumulate(running, loss(params, batch, key), batch.mask.sum())
        return gradient, (params, running)

    return direction
