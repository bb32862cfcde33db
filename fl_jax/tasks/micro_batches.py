"""Gradient accumulation over micro-batches: the device keeps the activations of one at a time.

grad mean over b of l(x, b) = sum_k n_k grad(mean over b in part k of l(x, b)) / sum_k n_k
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from fl_jax.core.types import Array, Batch, Params

BatchLoss = Callable[[Params, Batch], jax.Array]
"""`(params, batch) -> float32[]`, the sum of masked example losses over max(real examples, 1)."""


def accumulate(batch_loss: BatchLoss, parts: int) -> BatchLoss:
    """Computes a loss and its gradient part by part.

    Guarantees: value and gradient equal those of the whole batch up to the order of float32 sums. Each part
    takes one forward and one backward pass, one part after the other.

    Args:
        batch_loss: a loss in which examples do not interact; differentiable once, with respect to `params`.
        parts: K, which must divide B.

    Returns:
        The loss; it raises ValueError for a batch that K does not divide.
    """
    if parts < 1:
        raise ValueError(f"accumulate={parts}: must be at least 1; 1 computes the batch at once")

    def sum_over_parts(
        function: Callable[[Params, Batch], Any], params: Params, batch: Batch
    ) -> Any:
        """The weighted mean of `function` over the parts."""
        size = len(batch.mask)
        if size % parts:
            raise ValueError(
                f"accumulate={parts}: does not divide the {size} examples of a batch into equal parts"
            )
        split = jax.tree.map(lambda x: jnp.reshape(x, (parts, -1, *x.shape[1:])), batch)
        share = jnp.maximum(split.mask.sum(-1), 1) / jnp.maximum(batch.mask.sum(), 1)

        def add(total: Any, weighted_part: tuple[Batch, Array]) -> tuple[Any, None]:
            part, weight = weighted_part
            inputs = part.inputs + _zero_after(total, jnp.result_type(part.inputs, float))
            value = function(params, part._replace(inputs=inputs))
            return optax.tree.add_scale(total, weight, value), None

        def unrolled(total: Any, weighted_parts: tuple[Batch, Array]) -> Any:
            for number in range(parts):
                total, _ = add(total, jax.tree.map(lambda x, k=number: x[k], weighted_parts))
            return total

        def scanned(total: Any, weighted_parts: tuple[Batch, Array]) -> Any:
            return jax.lax.scan(add, total, weighted_parts)[0]

        shapes = jax.eval_shape(function, params, jax.tree.map(lambda x: x[0], split))
        start = optax.tree.zeros_like(shapes), (split, share)
        # XLA:CPU runs convolutions in loops slowly.
        return jax.lax.platform_dependent(*start, cpu=unrolled, default=scanned)

    @jax.custom_vjp
    def loss(params: Params, batch: Batch) -> jax.Array:
        return sum_over_parts(batch_loss, params, batch)

    def forward(params: Params, batch: Batch) -> tuple[jax.Array, Params]:
        return sum_over_parts(jax.value_and_grad(batch_loss), params, batch)

    def backward(gradient: Params, cotangent: Array) -> tuple[Params, None]:
        return optax.tree.scale(cotangent, gradient), None

    loss.defvjp(forward, backward)
    return loss


def _zero_after(total: Any, dtype: Any) -> jax.Array:
    """Zero with a data dependency on `total`, so that XLA cannot run all forward passes first.

    XLA:CPU drops `optimization_barrier` before it orders operations, but keeps a float's product with 0.
    """
    first_values = jnp.array([leaf.ravel()[0] for leaf in jax.tree.leaves(total)])
    return (0 * first_values.sum()).astype(dtype)
