"""IFCA (HypCluster): K global models; each site trains the one that fits its data best.

site s:  k = argmin_k loss of the broadcast x_k over the round's batches;   send x_k's update, for k alone
server:  x_k <- x_k + server_optimizer(-(mean over the sites that chose k)),  for every chosen k

Ghosh et al., "An Efficient Framework for Clustered Federated Learning", NeurIPS 2020; Mansour et al.,
"Three Approaches for Personalization with Applications to Federated Learning", arXiv:2002.10619, 2020.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from fl_jax.algorithms.fed_avg import fed_avg
from fl_jax.core import client
from fl_jax.core.types import Algorithm, Array, Batch, Client, Params, Report


class ServerState(NamedTuple):
    """The model of the cluster with the most weight last round, and FedAvg's states, stacked over K."""

    params: Params
    clusters: Any


def ifca(
    loss: client.Loss,
    client_optimizer: optax.GradientTransformation,
    *,
    clusters: int = 2,
    spread: float = 0.1,
    seed: int = 0,
    server_optimizer: optax.GradientTransformation | None = None,
) -> Algorithm:
    """Makes IFCA.

    A site trains all K models and reports the best one: exact in one pass over the batches, at K times the
    cost. A cluster's mean is over examples, or with `weighting='equal'` over sites. The server divides by a
    cluster's share of the weight, so the aggregator must be a mean without noise. A cluster that no site
    chose stays.

    Args:
        loss: see `client.Loss`.
        client_optimizer: of local training, reset each round.
        clusters: K, at least 1; 1 is FedAvg.
        spread: > 0, the standard deviation of the noise on the initial parameters of every cluster but the
            first. If it is small, all sites may choose the same cluster.
        seed: of that noise.
        server_optimizer: see `fed_avg`; for each cluster.

    Returns:
        The algorithm. A site's state is its last choice, int32[]; `personal` is that cluster's model.
    """
    if clusters < 1 or not spread > 0:
        raise ValueError(
            f"clusters={clusters}, spread={spread}: must be at least 1, and above 0, or all are equal"
        )
    base = fed_avg(loss, client_optimizer, server_optimizer=server_optimizer)
    each, where = jnp.arange(clusters), jax.vmap(optax.tree.where)

    def take(stacked: Any, k: Array | int) -> Any:
        return jax.tree.map(lambda x: x[k], stacked)

    def init_server(params: Params) -> ServerState:
        def one(k: Array) -> Any:
            key = jax.random.fold_in(jax.random.key(seed), k)
            noise = optax.tree.random_like(key, params, jax.random.normal)
            return base.init_server(optax.tree.add_scale(params, spread * (k > 0), noise))

        return ServerState(params, jax.vmap(one)(each))

    def start(models: Params, choice: Array, key: jax.Array) -> tuple[Params, Any, Array]:
        copies = jax.vmap(lambda model: base.client.start(model, (), key))(models)
        return models, copies, jnp.zeros(clusters)

    def step(local: tuple[Params, Any, Array], batch: Batch) -> tuple[Params, Any, Array]:
        models, stacked, losses = local
        # One after the other, because vmap makes grouped convolutions, which are slow.
        copies = [take(stacked, k) for k in range(clusters)]
        key = jax.random.split(copies[0].key)[1]
        fit = jnp.stack([loss(take(models, k), batch, key) for k in range(clusters)])
        copies = [base.client.step(copy, batch) for copy in copies]
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *copies)
        return models, stacked, losses + fit * batch.mask.sum()

    def finish(models: Params, choice: Array, local: Any) -> tuple[Report, Array]:
        _, copies, losses = local
        reports, _ = jax.vmap(lambda model, copy: base.client.finish(model, (), copy))(
            models, copies
        )
        weight = reports.weight[0]
        best = jnp.argmin(losses).astype(jnp.int32)
        choice = jnp.where(weight > 0, best, choice)  # keep the choice without examples
        chosen = each == choice
        update = where(chosen, reports.message, optax.tree.zeros_like(models))
        metrics = take(reports.metrics, choice) | {"cluster": choice.astype(jnp.float32)}
        return Report((update, chosen.astype(jnp.float32)), weight, metrics), choice

    def server(state: ServerState, message: tuple[Params, Array], fraction: Array) -> ServerState:
        total, share = message
        taken = share > 0
        mean = jax.vmap(optax.tree.scale)(1 / jnp.where(taken, share, 1), total)
        moved = jax.vmap(base.server, in_axes=(0, 0, None))(state.clusters, mean, fraction)
        moved = where(taken, moved, state.clusters)
        largest = take(moved.params, jnp.argmax(share))
        return ServerState(optax.tree.where(taken.any(), largest, state.params), moved)

    return Algorithm(
        init_server,
        lambda params: jnp.int32(0),
        lambda server: server.clusters.params,
        Client(start, step, finish),
        server,
        personal=lambda server, choice: take(server.clusters.params, choice),
    )
