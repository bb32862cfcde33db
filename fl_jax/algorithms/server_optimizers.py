"""The adaptive server optimisers of Reddi et al., which `fed_adam`, `fed_yogi` and `fed_adagrad` share.

D: the mean update;  m <- b1 m + (1 - b1) D;  v <- second(v, D);  x <- x + server_lr m / (sqrt(v) + tau)

Reddi et al., "Adaptive Federated Optimization", ICLR 2021, algorithm 2: m starts at 0 and v at tau^2.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from fl_jax.core.types import Array, Params


class Moments(NamedTuple):
    """Running moments of the mean update, each a pytree like the parameters."""

    first: Params
    second: Params


def adaptive(
    second: Callable[[Array, Array], Array],
    *,
    server_lr: float,
    b1: float,
    tau: float,
    b2: float | None = None,
) -> optax.GradientTransformation:
    """Makes a server optimiser for `fed_avg`, which passes it the pseudo-gradient -D.

    Args:
        second: `(v, D^2) -> v`, on arrays.
        server_lr: > 0.
        b1: in [0, 1), the decay of the first moment.
        tau: > 0, the degree of adaptivity, in the unit of an update.
        b2: in [0, 1), the decay in `second`, only checked here; None without one.
    """
    for name, value in {"server_lr": server_lr, "tau": tau}.items():
        if not value > 0:
            raise ValueError(f"{name}={value}: must be above 0")
    for name, value in {"b1": b1, "b2": b2}.items():
        if value is not None and not 0 <= value < 1:
            raise ValueError(f"{name}={value}: must lie in [0, 1)")

    def init(params: Params) -> Moments:
        return Moments(optax.tree.zeros_like(params), optax.tree.full_like(params, tau**2))

    def update(updates: Params, state: Any, params: Any = None) -> tuple[Params, Moments]:
        del params
        m = jax.tree.map(lambda m, g: b1 * m - (1 - b1) * g, state.first, updates)
        v = jax.tree.map(lambda v, g: second(v, g**2), state.second, updates)
        step = jax.tree.map(lambda m, v: server_lr * m / (jnp.sqrt(v) + tau), m, v)
        return step, Moments(m, v)

    return optax.GradientTransformation(init, update)
