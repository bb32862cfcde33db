"""FedNewton: Newton's method on the pooled examples, for small convex models such as a last layer.

site s:  send f_s(x), g_s = grad f_s(x), H_s = hessian f_s(x), means over its n_s examples, with weight n_s
server:  F, g, H <- their weighted means and those of l2 / 2 |x - x_0|^2
         if F is the lowest so far:  best <- x,  d <- -|H|^-1 g;   else  d <- d / 4;    x <- best + d

If every site takes part and sees each of its examples once a round, F, g and H are those of all examples
together: the rounds are those of central training, whatever the sites' examples, and some six of them reach
the optimum. |H| has the absolute eigenvalues of H (Dauphin et al., NeurIPS 2014), so d descends everywhere.
The penalty towards the first model x_0, rather than 0, keeps what it has learned where examples are few.

Safaryan et al., "FedNL: Making Newton-Type Methods Applicable to Federated Learning", ICML 2022, which also
compresses H; here P is small, so that H is sent as it is.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree

from fl_jax.core import client
from fl_jax.core.types import Algorithm, Array, Batch, Client, Params, Report

LARGEST = 2048
"""Parameters, P: a message has some P^2 / 2 numbers, 8 MB."""
SHRINK = 0.25
"""Factor of a step that did not lower F."""


class ServerState(NamedTuple):
    """The server's state.

    Attributes:
        params: x, whose F is not known yet.
        first: x_0, float32[P].
        best: float32[P], with the lowest F so far.
        step: d, float32[P].
        value: float32[], the lowest F.
    """

    params: Params
    first: Array
    best: Array
    step: Array
    value: Array


class Derivatives(NamedTuple):
    """Of a mean loss.

    Attributes:
        value: float32[].
        gradient: float32[P].
        hessian: float32[P (P + 1) / 2], the lower triangle, row by row.
    """

    value: Array
    gradient: Array
    hessian: Array


def _triangle(square: Array) -> Array:
    return square[np.tril_indices(square.shape[0])]


def _square(triangle: Array, size: int) -> jax.Array:
    lower = jnp.zeros((size, size)).at[np.tril_indices(size)].set(triangle)
    return lower + jnp.tril(lower, -1).T


def fed_newton(
    loss: client.Loss, client_optimizer: optax.GradientTransformation, *, l2: float = 0.01
) -> Algorithm:
    """Makes FedNewton.

    Guarantees: a site's message does not depend on how its examples are divided into batches, but for
    rounding. It reveals second moments of the model's inputs.

    Args:
        loss: see `client.Loss`; without randomness, and best convex.
        client_optimizer: not used: no site takes a step.
        l2: strength of the penalty, > 0, relative to the mean loss of an example.

    Returns:
        The algorithm, for the mean over examples, or with `weighting='equal'` over sites. `init_server`
        raises ValueError for more than `LARGEST` parameters. A round whose sites differ from the last one's,
        or that repeats examples, is a noisy Newton step.

    Raises:
        ValueError: l2 is not above 0, or not finite.
    """
    del client_optimizer
    if not 0 < l2 < float("inf"):
        raise ValueError(f"l2={l2}: must be above 0, and finite; 0.01 is usual")

    def init_server(params: Params) -> ServerState:
        flat, _ = ravel_pytree(params)
        if flat.size > LARGEST:
            raise ValueError(
                f"fed_newton: {flat.size:,} parameters, at most {LARGEST:,}, since a site sends their "
                "squares; train fewer, or use fed_avg()"
            )
        return ServerState(params, flat, flat, jnp.zeros_like(flat), jnp.asarray(jnp.inf, float))

    def start(params: Params, site: Any, key: jax.Array) -> client.Local:
        del site
        size = ravel_pytree(params)[0].size
        zeros = Derivatives(jnp.zeros(()), jnp.zeros(size), jnp.zeros(size * (size + 1) // 2))
        return client.start(params, (), key)._replace(extra=client.empty_mean(zeros))

    def step(local: client.Local, batch: Batch) -> client.Local:
        key, step_key = jax.random.split(local.key)
        flat, unravel = ravel_pytree(local.params)

        def value(x: jax.Array) -> jax.Array:
            return loss(unravel(x), batch, step_key)

        here, gradient = jax.value_and_grad(value)(flat)
        seen = Derivatives(here, gradient, _triangle(jax.hessian(value)(flat)))
        number = batch.mask.sum()
        return local._replace(
            key=key,
            examples=local.examples + number,
            loss=local.loss + here * number,
            extra=client.accumulate(local.extra, seen, number),
        )

    def finish(params: Params, site: Any, local: client.Local) -> tuple[Report, Any]:
        del params
        return Report(client.mean(local.extra), local.examples, client.metrics(local)), site

    def server(state: ServerState, message: Derivatives, fraction: Array) -> ServerState:
        x, unravel = ravel_pytree(state.params)
        offset = x - state.first
        value = message.value + l2 / 2 * offset @ offset
        scales, basis = jnp.linalg.eigh(_square(message.hessian, x.size))
        along = basis.T @ (message.gradient + l2 * offset)
        newton = -basis @ (along / (jnp.abs(scales) + l2))
        lower, heard = value < state.value, fraction > 0
        best = jnp.where(lower & heard, x, state.best)
        moved = jnp.where(lower, newton, SHRINK * state.step)
        moved = jnp.where(heard, moved, state.step)
        return ServerState(
            unravel(best + moved),
            state.first,
            best,
            moved,
            jnp.where(lower & heard, value, state.value),
        )

    clients = Client(start, step, finish)
    return Algorithm(
        init_server,
        lambda params: (),
        lambda s: s.params,
        clients,
        server,
        one_site_is_central=True,
    )
