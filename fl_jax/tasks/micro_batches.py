"""A step's gradient summed over micro-batches: the device holds the activations of one at a time.

grad mean over b of l(x, b) = sum_k n_k grad(mean over b in part k of l(x, b)) / sum_k n_k
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from fl_jax.core.types import Array, Batch, Params

Fit = Callable[[Params, Batch], jax.Array]
"""`(params, batch) -> float32[]`, the sum of `mask` times the losses of the examples, over at least 1."""


def accumulate(fit: Fit, parts: int) -> Fit:
    """Computes a loss and its gradient part by part.

    Guarantees: value and gradient are those of the whole batch but for the order of float32 sums. Both come
    from one forward and one backward pass of each part; the parts are taken one after the other.

    Args:
        fit: the loss of a batch, in which no example knows another; differentiable once, by `params`.
        parts: K, which divides B.

    Returns:
        The loss; it raises ValueError for a batch that K does not divide.

    Raises:
        ValueError: when `parts` is less than 1.
    """
    if parts < 1:
        raise ValueError(f"accumulate={parts}: must be at least 1; 1 takes a batch as a whole")

    def over_parts(of: Callable[[Params, Batch], Any], params: Params, batch: Batch) -> Any:
        """The mean over the parts of what `of` gives, a pytree."""
        size = len(batch.mask)
        if size % parts:
            raise ValueError(
                f"accumulate={parts}: does not divide the {size} examples of a batch into equal parts"
            )
        split = jax.tree.map(lambda x: jnp.reshape(x, (parts, -1, *x.shape[1:])), batch)
        share = jnp.maximum(split.mask.sum(-1), 1) / jnp.maximum(batch.mask.sum(), 1)

        def add(total: Any, of_part: tuple[Batch, Array]) -> tuple[Any, None]:
            part, weight = of_part
            inputs = part.inputs + _nothing(total, jnp.result_type(part.inputs, float))
            found = of(params, part._replace(inputs=inputs))
            return optax.tree.add_scale(total, weight, found), None

        shapes = jax.eval_shape(of, params, jax.tree.map(lambda x: x[0], split))
        total = optax.tree.zeros_like(shapes)
        if jax.default_backend() == "cpu":  # whose loops slow convolutions
            for number in range(parts):
                total, _ = add(total, jax.tree.map(lambda x, k=number: x[k], (split, share)))
            return total
        return jax.lax.scan(add, total, (split, share))[0]

    @jax.custom_vjp
    def whole(params: Params, batch: Batch) -> jax.Array:
        return over_parts(fit, params, batch)

    def forward(params: Params, batch: Batch) -> tuple[jax.Array, Params]:
        return over_parts(jax.value_and_grad(fit), params, batch)

    def backward(gradient: Params, cotangent: Array) -> tuple[Params, None]:
        return optax.tree.scale(cotangent, gradient), None

    whole.defvjp(forward, backward)
    return whole


def _nothing(total: Any, dtype: Any) -> jax.Array:
    """Zero, which is known when all of `total` is: without it all parts' forward passes may come first.

    XLA:CPU drops `optimization_barrier` before it orders operations; a float's product with 0 it keeps.
    """
    one_of_each = jnp.array([leaf.ravel()[0] for leaf in jax.tree.leaves(total)])
    return (0 * one_of_each.sum()).astype(dtype)
