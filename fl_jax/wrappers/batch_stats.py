"""Federated BatchNorm running statistics: pooled moments, local (SiloBN), or naive averaging.

site s:     m_s, v_s <- 0.9 m_s + 0.1 mean(batch), 0.9 v_s + 0.1 var(batch)    in each of its T_s steps
aggregate:  M_s = m + (m_s - m) / d_s,  V_s = v + (v_s - v) / d_s,  d_s = 1 - 0.9^T_s
            M = sum_s w_s M_s,  V = sum_s w_s (V_s + M_s^2) - M^2,  d = sum_s w_s d_s
            m <- m + d (M - m),  v <- v + d (V - v)
local:      m_s, v_s stay at their site and are never sent
naive:      m <- sum_s w_s m_s,  v <- sum_s w_s v_s     common practice; for comparison

The w_s are the algorithm's weights. Naive averaging underweights sites with few steps and loses the variance
between sites. With a single site, every rule equals central training.

Training normalises with batch statistics, so the loss depends on the parameters alone and algorithms need
not handle running statistics. `client.gradient_step` updates them in the same forward pass as the gradient,
at no extra cost, as PyTorch does.

Ioffe and Szegedy, "Batch Normalization", ICML 2015; local: Andreux et al., "Siloed Federated Learning for
Multi-centric Histopathology Datasets" (SiloBN), DCL 2020.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import traverse_util

from fl_jax.core.types import Algorithm, Array, Batch, Client, Params, Report
from fl_jax.models.layers.norm import MOMENTUM

RULES = ("aggregate", "local", "naive")
PARAMS, BATCH_STATS = "params", "batch_stats"


class WithStats(NamedTuple):
    """The algorithm's broadcast, site state or local state, with BatchNorm statistics.

    Attributes:
        base: the algorithm's part; during a round, its field `batch_stats` has the running statistics.
        batch_stats: the running statistics between rounds; `()` where there are none.
        steps: float32[], steps with real examples in this round; `()` between rounds.
    """

    base: Any
    batch_stats: Any = ()
    steps: Any = ()


class Message(NamedTuple):
    """A site's message.

    Attributes:
        base: the algorithm's message.
        change: of the moments, or with `'naive'` of the statistics.
        share: float32[], d_s.
    """

    base: Any
    change: Any
    share: Array


def federated_batch_stats(
    algorithm: Algorithm, rule: str = "aggregate", *, momentum: float = MOMENTUM
) -> Algorithm:
    """Wraps an algorithm so that it also federates BatchNorm running statistics.

    Guarantees: the algorithm's part is unchanged. With `'local'`, statistics never leave a site.

    Args:
        algorithm: must train one model per site, with `client.Local` as local state and
            `client.gradient_step` of a `RunningLoss` as step.
        rule: one of `RULES`.
        momentum: the weight of the old running statistics in each step, in [0, 1).

    Returns:
        An algorithm of variables `{'params': ..., 'batch_stats': ...}`. With `'local'`, `personal` is the
        model to use; the server's statistics keep their initial values. `client.start` or `client.step`
        raise ValueError for an algorithm that trains several models per site or does not update
        statistics.

    Raises:
        ValueError: for an unknown rule or a momentum out of range.
    """
    if rule not in RULES:
        raise ValueError(f"rule={rule!r}: must be one of {', '.join(RULES)}")
    if not 0 <= momentum < 1:
        raise ValueError(f"momentum={momentum}: must be at least 0 and below 1")
    local, first = rule == "local", algorithm.first
    encode, decode = (moments, from_moments) if rule == "aggregate" else (_same, _same)

    def init_server(variables: Params) -> Any:
        return algorithm.init_server(variables[PARAMS])._replace(params=variables)

    def init_site(variables: Params) -> WithStats:
        stats = variables[BATCH_STATS] if local else ()
        return WithStats(algorithm.init_site(variables[PARAMS]), stats)

    def broadcast(server: Any) -> WithStats:
        stats = () if local else server.params[BATCH_STATS]
        return WithStats(algorithm.broadcast(_only_params(server)), stats)

    def start(received: WithStats, site: WithStats, key: jax.Array) -> WithStats:
        base = algorithm.client.start(received.base, site.base, key)
        if not hasattr(base, "batch_stats"):
            raise ValueError(
                "BatchNorm statistics need an algorithm that trains one model at a site, and this one "
                "trains several: set statistics='frozen', or use a model without BatchNorm"
            )
        stats = site.batch_stats if local else received.batch_stats
        return WithStats(base._replace(batch_stats=stats), steps=jnp.zeros(()))

    def step(state: WithStats, batch: Batch) -> WithStats:
        before = state.base.batch_stats
        base = algorithm.client.step(state.base, batch)
        if base.batch_stats is before:
            raise ValueError(
                "BatchNorm statistics need an algorithm whose step is `client.gradient_step`, and this "
                "one updates none: set statistics='frozen', or use a model without BatchNorm"
            )
        real = batch.mask.sum() > 0
        stats = jax.tree.map(partial(jnp.where, real), base.batch_stats, before)
        return WithStats(base._replace(batch_stats=stats), steps=state.steps + real)

    def finish(received: WithStats, site: WithStats, state: WithStats) -> tuple[Report, WithStats]:
        report, base = algorithm.client.finish(received.base, site.base, state.base)
        if local:
            return report, WithStats(base, state.base.batch_stats)
        share = jnp.ones(())
        if rule == "aggregate":
            share = 1 - momentum ** jnp.maximum(state.steps, 1)
        moved = optax.tree.sub(state.base.batch_stats, received.batch_stats)
        estimate = optax.tree.add_scale(received.batch_stats, 1 / share, moved)
        change = optax.tree.sub(encode(estimate), encode(received.batch_stats))
        return report._replace(message=Message(report.message, change, share)), WithStats(base)

    def server(state: Any, message: Any, fraction: Array) -> Any:
        stats = state.params[BATCH_STATS]
        update = message if local else message.base
        new = algorithm.server(_only_params(state), update, fraction)
        if not local:
            pooled = decode(optax.tree.add(encode(stats), message.change))
            moved = optax.tree.sub(pooled, stats)
            stats = optax.tree.add_scale(stats, message.share, moved)
        return new._replace(params={PARAMS: new.params, BATCH_STATS: stats})

    def personal(server: Any, site: WithStats) -> Params:
        params = server.params[PARAMS]
        if algorithm.personal is not None:
            params = algorithm.personal(_only_params(server), site.base)
        stats = site.batch_stats if local else server.params[BATCH_STATS]
        return {PARAMS: params, BATCH_STATS: stats}

    return algorithm._replace(
        init_server=init_server,
        init_site=init_site,
        first=first and _first_on_params(first),
        broadcast=broadcast,
        client=Client(start, step, finish),
        server=server,
        personal=personal if local or algorithm.personal is not None else None,
    )


def _only_params(server: Any) -> Any:
    return server._replace(params=server.params[PARAMS])


def _first_on_params(first: Algorithm) -> Algorithm:
    """The algorithm's first exchange, which neither uses nor moves statistics."""

    def start(received: Any, site: WithStats, key: jax.Array) -> Any:
        return first.client.start(received, site.base, key)

    def finish(received: Any, site: WithStats, local: Any) -> tuple[Report, WithStats]:
        report, base = first.client.finish(received, site.base, local)
        return report, site._replace(base=base)

    def server(state: Any, message: Any, fraction: Array) -> Any:
        new = first.server(_only_params(state), message, fraction)
        return new._replace(params=state.params)

    return first._replace(
        broadcast=lambda server: first.broadcast(_only_params(server)),
        client=Client(start, first.client.step, finish),
        server=server,
    )


def moments(batch_stats: Any) -> Any:
    """Replaces each layer's variance by its second moment."""
    flat: dict[Any, Any] = traverse_util.flatten_dict(batch_stats)
    means = {path: flat[(*path[:-1], "mean")] for path in flat if path[-1] == "var"}
    return traverse_util.unflatten_dict(flat | {p: flat[p] + m * m for p, m in means.items()})


def from_moments(pooled: Any) -> Any:
    """The inverse of `moments`; clips variances that rounding made negative to zero."""
    flat: dict[Any, Any] = traverse_util.flatten_dict(pooled)
    means = {path: flat[(*path[:-1], "mean")] for path in flat if path[-1] == "var"}
    variances = {path: jnp.maximum(flat[path] - m * m, 0) for path, m in means.items()}
    return traverse_util.unflatten_dict(flat | variances)


def _same(batch_stats: Any) -> Any:
    return batch_stats
