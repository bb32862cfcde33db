"""The task of fitting a Flax model to labels: what `multi_label` and `multi_class` share."""

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from fl_jax.core.keys import stream
from fl_jax.core.types import Array, Batch, Params, RunningLoss
from fl_jax.tasks.micro_batches import accumulate
from fl_jax.tasks.mixup import Mix
from fl_jax.tasks.task import Task

Prepare = Callable[[Array], jax.Array]
"""`(inputs) -> float32[B, ...]`, what the model reads."""
Augment = Callable[[jax.Array, Array], Array]
"""`(key, inputs) -> inputs`."""


def as_float(inputs: Array) -> jax.Array:
    """Converts inputs to float32."""
    return jnp.asarray(inputs, jnp.float32)


def no_augmentation(key: jax.Array, inputs: Array) -> Array:
    """Returns the inputs as they are."""
    del key
    return inputs


def flax_task(
    model: nn.Module,
    example: Array,
    example_loss: Callable[[jax.Array, Array], jax.Array],
    *,
    prepare: Prepare = as_float,
    augment: Augment = no_augmentation,
    frozen: Mapping[str, Any] | None = None,
    running: bool = False,
    mix: Mix | None = None,
    micro_batches: int = 1,
) -> Task:
    """Makes the task; see `multi_label` for the arguments.

    Args:
        example_loss: `(logits float32[B, L], labels) -> float32[B]`.
    """
    constants = dict(frozen or {})
    collections = ("params", "batch_stats") if running else ("params",)

    def init(key: jax.Array) -> Params:
        variables = dict(model.init(key, prepare(jnp.zeros_like(example))))
        if set(variables) != {*collections, *constants}:
            raise ValueError(
                f"frozen={sorted(constants)}, running={running}: the model has {sorted(variables)}; freeze "
                "those of pretrained weights, set running=True, or build the model with norm='group', "
                "'layer' or 'none'"
            )
        return {name: variables[name] for name in collections} if running else variables["params"]

    def apply(params: Params, images: jax.Array) -> jax.Array:
        variables = params if running else {"params": params}
        output = model.apply({**variables, **constants}, images)
        assert isinstance(output, jax.Array)
        return output

    def training_batch(batch: Batch, key: jax.Array) -> Batch:
        """The batch as the model sees it in training."""
        images = prepare(augment(key, batch.inputs))
        if mix is None:
            return batch._replace(inputs=images)
        mixed = mix(stream(key, "mixup"), images, batch.labels, batch.mask)
        return Batch(*mixed, batch.mask)

    def mean_loss(logits: jax.Array, batch: Batch) -> jax.Array:
        each = example_loss(logits, batch.labels)
        return (each * batch.mask).sum() / jnp.maximum(batch.mask.sum(), 1)

    def batch_loss(params: Params, batch: Batch) -> jax.Array:
        return mean_loss(apply(params, jnp.asarray(batch.inputs)), batch)

    accumulated = accumulate(batch_loss, micro_batches) if micro_batches > 1 else batch_loss

    def loss(params: Params, batch: Batch, key: jax.Array) -> jax.Array:
        return accumulated(params, training_batch(batch, key))

    def update(
        params: Params, batch_stats: Any, batch: Batch, key: jax.Array
    ) -> tuple[jax.Array, Any]:
        batch = training_batch(batch, key)
        variables = {"params": params, "batch_stats": batch_stats, **constants}
        logits: Any
        logits, changed = model.apply(variables, batch.inputs, batch.mask, mutable=["batch_stats"])
        return mean_loss(logits, batch), changed["batch_stats"]

    def empty_batch_stats() -> Any:
        """Statistics of the right shapes; training does not read their values."""
        shapes: Any = jax.eval_shape(
            model.init, jax.random.key(0), prepare(jnp.zeros_like(example))
        )
        return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes["batch_stats"])

    return Task(
        init,
        RunningLoss(update, empty_batch_stats) if running else loss,
        lambda params, inputs: apply(params, prepare(inputs)),
    )
