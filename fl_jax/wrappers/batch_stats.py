"""Batch normalisation's running statistics in a federation: pooled from the sites' moments, or kept at each.

site s:     m_s, v_s <- 0.9 m_s + 0.1 mean(batch), 0.9 v_s + 0.1 var(batch)    beside each of its T_s steps
aggregate:  M_s = m + (m_s - m) / d_s,  V_s = v + (v_s - v) / d_s,  d_s = 1 - 0.9^T_s
            M = sum_s w_s M_s,  V = sum_s w_s (V_s + M_s^2) - M^2,  d = sum_s w_s d_s
            m <- m + d (M - m),  v <- v + d (V - v)
local:      m_s, v_s stay at their site and are never sent
naive:      m <- sum_s w_s m_s,  v <- sum_s w_s v_s     what is often done; for comparison

Naive statistics forget sites of few steps, and the variance between sites. A federation of one site has plain
training's by each rule.

Training uses a batch's own moments, so that the loss is a function of the parameters alone, and an algorithm
need not know of statistics: `carry` takes them around it, and `client.gradient_step` moves them by the very
forward pass whose gradient it takes, as PyTorch does in training: at the site's model before the step,
whatever gradient elsewhere the algorithm takes besides. The w_s are the algorithm's own.

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
PARAMS, STATISTICS = "params", "batch_stats"


class Carried(NamedTuple):
    """What a site is sent, keeps, or holds during a round.

    Attributes:
        base: the algorithm's part; during a round its `statistics` are the running ones.
        statistics: the running statistics outside of a round; `()` where there are none.
        steps: float32[], real steps done in the round; `()` outside of one.
    """

    base: Any
    statistics: Any = ()
    steps: Any = ()


class Message(NamedTuple):
    """What a site sends.

    Attributes:
        base: the algorithm's message.
        change: of the moments, or with `'naive'` of the statistics.
        share: float32[], d_s.
    """

    base: Any
    change: Any
    share: Array


def moments(statistics: Any) -> Any:
    """Makes of each layer's mean and variance its first and second moment."""
    flat: dict[Any, Any] = traverse_util.flatten_dict(statistics)
    means = {path: flat[(*path[:-1], "mean")] for path in flat if path[-1] == "var"}
    return traverse_util.unflatten_dict(flat | {p: flat[p] + m * m for p, m in means.items()})


def from_moments(found: Any) -> Any:
    """The inverse of `moments`; a variance that rounding made negative is zero."""
    flat: dict[Any, Any] = traverse_util.flatten_dict(found)
    means = {path: flat[(*path[:-1], "mean")] for path in flat if path[-1] == "var"}
    variances = {path: jnp.maximum(flat[path] - m * m, 0) for path, m in means.items()}
    return traverse_util.unflatten_dict(flat | variances)


def carry(
    algorithm: Algorithm, rule: str = "aggregate", *, momentum: float = MOMENTUM
) -> Algorithm:
    """Takes running statistics around an algorithm that knows parameters only.

    Guarantees: the algorithm's own part is as without. With `'local'` no statistic is sent either way.

    Args:
        algorithm: whose local state is `client.Local`, as it trains one model, and whose step is
            `client.gradient_step`'s of a `RunningLoss`.
        rule: one of `RULES`.
        momentum: the share of the running statistics that a step keeps, in [0, 1).

    Returns:
        An algorithm of variables `{'params': ..., 'batch_stats': ...}`. With `'local'` each site has a model
        of its own; the server's statistics are then the initial ones, and its model is not one to use.

    Raises:
        ValueError: for an unknown rule or a momentum out of range; when it runs, for an algorithm that trains
            two models at a site, or whose step moves no statistics.
    """
    if rule not in RULES:
        raise ValueError(f"rule={rule!r}: must be one of {', '.join(RULES)}")
    if not 0 <= momentum < 1:
        raise ValueError(f"momentum={momentum}: must be at least 0 and below 1")
    local = rule == "local"
    to, back = (moments, from_moments) if rule == "aggregate" else (_same, _same)

    def inside(server: Any) -> Any:
        return server._replace(params=server.params[PARAMS])

    def init_server(variables: Params) -> Any:
        return algorithm.init_server(variables[PARAMS])._replace(params=variables)

    def init_site(variables: Params) -> Carried:
        kept = variables[STATISTICS] if local else ()
        return Carried(algorithm.init_site(variables[PARAMS]), kept)

    def broadcast(server: Any) -> Carried:
        sent = () if local else server.params[STATISTICS]
        return Carried(algorithm.broadcast(inside(server)), sent)

    def start(sent: Carried, site: Carried, key: jax.Array) -> Carried:
        begun = algorithm.client.start(sent.base, site.base, key)
        if not hasattr(begun, "statistics"):
            raise ValueError(
                "running statistics go with algorithms that train one model at a site; this one trains "
                "more: freeze the statistics, or take a model without"
            )
        begun = begun._replace(statistics=site.statistics if local else sent.statistics)
        return Carried(begun, steps=jnp.zeros(()))

    def step(held: Carried, batch: Batch) -> Carried:
        before = held.base.statistics
        base = algorithm.client.step(held.base, batch)
        if base.statistics is before:
            raise ValueError(
                "running statistics go with algorithms whose step is `client.gradient_step`'s; this one's "
                "moves none: freeze the statistics, or take a model without"
            )
        some = batch.mask.sum() > 0
        statistics = jax.tree.map(partial(jnp.where, some), base.statistics, before)
        return Carried(base._replace(statistics=statistics), steps=held.steps + some)

    def finish(sent: Carried, site: Carried, held: Carried) -> tuple[Report, Carried]:
        report, base = algorithm.client.finish(sent.base, site.base, held.base)
        if local:
            return report, Carried(base, held.base.statistics)
        share = jnp.ones(())
        if rule == "aggregate":
            share = 1 - momentum ** jnp.maximum(held.steps, 1)
        moved = optax.tree.sub(held.base.statistics, sent.statistics)
        own = optax.tree.add_scale(sent.statistics, 1 / share, moved)
        change = optax.tree.sub(to(own), to(sent.statistics))
        return report._replace(message=Message(report.message, change, share)), Carried(base)

    def server(state: Any, message: Any, fraction: Array) -> Any:
        statistics = state.params[STATISTICS]
        own = message if local else message.base
        new = algorithm.server(inside(state), own, fraction)
        if not local:
            pooled = back(optax.tree.add(to(statistics), message.change))
            moved = optax.tree.sub(pooled, statistics)
            statistics = optax.tree.add_scale(statistics, message.share, moved)
        return new._replace(params={PARAMS: new.params, STATISTICS: statistics})

    def personal(server: Any, site: Carried) -> Params:
        own = algorithm.personal
        params = server.params[PARAMS] if own is None else own(inside(server), site.base)
        statistics = site.statistics if local else server.params[STATISTICS]
        return {PARAMS: params, STATISTICS: statistics}

    return algorithm._replace(
        init_server=init_server,
        init_site=init_site,
        broadcast=broadcast,
        client=Client(start, step, finish),
        server=server,
        personal=personal if local or algorithm.personal is not None else None,
    )


def _same(statistics: Any) -> Any:
    return statistics
