"""Local training in steps: what every gradient-based client does between broadcast and report.

local: params <- params + u,  (u, o) = optimizer(grad loss(params, batch, key), o)

Running statistics of the model, where there are any, move by the forward pass of that gradient, at `params`
as they are before the step. Whatever else an algorithm asks the loss for, at another point or at this one,
moves nothing.
"""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from fl_jax.core.types import Algorithm, Array, Batch, Client, Metrics, Params, Report, RunningLoss

Loss = Callable[[Params, Batch, jax.Array], jax.Array]
"""`(params, batch, key) -> float32[]`, the mean loss of the batch's real examples; may be a `RunningLoss`."""


class Local(NamedTuple):
    """What a site holds during one round.

    Attributes:
        params: the site's working copy of the model.
        optimizer: the state of its optax transformation.
        key: the randomness of the steps to come.
        examples: float32[], real examples seen this round.
        loss: float32[], the sum of their losses, each before its step.
        extra: what the algorithm's own rule reads or gathers during the round, see `Direction`.
        statistics: the model's running statistics, see `fl_jax.wrappers.batch_stats.carry`; `()` where
        none are kept.
    """

    params: Params
    optimizer: Any
    key: jax.Array
    examples: Array
    loss: Array
    extra: Any = ()
    statistics: Any = ()


Direction = Callable[[Local, Params, Batch, jax.Array], tuple[Params, Any]]
"""`(local, gradient, batch, key) -> (direction, extra)`: what the optimiser gets in the gradient's place,
and the new `local.extra`; `local` is as it was before the step, `gradient` was taken with `key`."""


def start(params: Params, optimizer: Any, key: jax.Array) -> Local:
    """Begins a round at a site with no example seen."""
    return Local(params, optimizer, key, jnp.zeros(()), jnp.zeros(()))


def gradient_step(
    loss: Loss, optimizer: optax.GradientTransformation, direction: Direction | None = None
) -> Callable[[Local, Batch], Local]:
    """Makes the local step: one gradient of the loss, one update of the optimiser.

    Args:
        loss: see `Loss`.
        optimizer: an optax transformation; whatever acts on gradients at a site is in it.
        direction: what the algorithm makes of the gradient before the optimiser sees it; None for nothing.

    Returns:
        `(local, batch) -> local`, pure. With `local.statistics` it raises ValueError for a loss that moves
        none, as does a function around a `RunningLoss`.
    """

    def fit(params: Params, statistics: Any, batch: Batch, key: jax.Array) -> tuple[jax.Array, Any]:
        if not jax.tree.leaves(statistics):
            return loss(params, batch, key), statistics
        if not isinstance(loss, RunningLoss):
            raise ValueError(
                "running statistics move by the task's own loss: hand `gradient_step` that, and what the "
                "algorithm makes of its gradient as `direction`; or freeze the statistics"
            )
        return loss.moving(params, statistics, batch, key)

    def step(local: Local, batch: Batch) -> Local:
        key, step_key = jax.random.split(local.key)
        (value, statistics), gradient = jax.value_and_grad(fit, has_aux=True)(
            local.params, local.statistics, batch, step_key
        )
        extra = local.extra
        if direction is not None:
            gradient, extra = direction(local, gradient, batch, step_key)
        updates, optimizer_state = optimizer.update(gradient, local.optimizer, local.params)
        params = optax.apply_updates(local.params, updates)
        examples = batch.mask.sum()
        loss_sum = local.loss + value * examples
        examples = local.examples + examples
        return Local(params, optimizer_state, key, examples, loss_sum, extra, statistics)

    return step


class Gathered(NamedTuple):
    """A weighted mean that a site gathers step by step.

    Attributes:
        total: a pytree, the weighted sum.
        weight: float32[], the sum of the weights.
    """

    total: Any
    weight: Array


def nothing_gathered(like: Any) -> Gathered:
    """Begins a mean of values of these shapes."""
    return Gathered(optax.tree.zeros_like(like), jnp.zeros(()))


def gather(gathered: Gathered, value: Any, weight: Array | float) -> Gathered:
    """Adds a value to the mean."""
    total = optax.tree.add_scale(gathered.total, weight, value)
    return Gathered(total, gathered.weight + weight)


def mean(gathered: Gathered) -> Any:
    """Returns the mean, or zero where nothing was gathered."""
    return optax.tree.scale(1 / jnp.where(gathered.weight > 0, gathered.weight, 1), gathered.total)


def gather_sent_loss(loss: Loss) -> Direction:
    """Makes a direction that is the gradient itself, and gathers the loss of the model that was sent.

    `local.extra` is `(sent, Gathered)`; the mean is over examples.
    """

    def direction(
        local: Local, gradient: Params, batch: Batch, key: jax.Array
    ) -> tuple[Params, tuple[Params, Gathered]]:
        sent, gathered = local.extra
        return gradient, (sent, gather(gathered, loss(sent, batch, key), batch.mask.sum()))

    return direction


def metrics(local: Local) -> Metrics:
    """Returns the round's mean loss per example and the number of examples seen."""
    return {"loss": local.loss / jnp.maximum(local.examples, 1), "examples": local.examples}


def split(params: Params, pattern: str) -> tuple[Params, Params]:
    """Divides a model into the leaves that are shared and those that stay at a site.

    Args:
        params: a pytree like the model.
        pattern: a regular expression, searched for in each leaf's name, e.g. `Block_0/GroupNorm_0/scale`.

    Returns:
        (shared, own): like `params`, with None, which is no leaf, in the place of the other part's.

    Raises:
        ValueError: when the pattern finds no leaf, or all.
    """
    names = [
        jax.tree_util.keystr(path, simple=True, separator="/")
        for path, _ in jax.tree.leaves_with_path(params)
    ]
    found = [re.search(pattern, name) is not None for name in names]
    if all(found) or not any(found):
        raise ValueError(
            f"local={pattern!r}: finds {'all' if any(found) else 'none'} of the model's leaves, and must "
            f"find some that stay at the sites and leave some to share; there are: {', '.join(names)}"
        )
    leaves, structure = jax.tree.flatten(params)
    pairs = [(None, x) if own else (x, None) for x, own in zip(leaves, found, strict=True)]
    shared, own = zip(*pairs, strict=True)
    return structure.unflatten(shared), structure.unflatten(own)


def merge(shared: Params, own: Params) -> Params:
    """Puts the two parts of `split` together again."""
    return jax.tree.map(
        lambda s, o: o if s is None else s, shared, own, is_leaf=lambda x: x is None
    )


class Kept(NamedTuple):
    """What a site keeps under `keep_local`: its own leaves of the model, and the algorithm's site state."""

    own: Params
    base: Any


def keep_local(algorithm: Algorithm, pattern: str) -> Algorithm:
    """Leaves some of the model's leaves at the sites: each trains its own, and nobody is sent them.

    Guarantees: neither broadcast nor message holds a leaf that stays. The server's `params` is a whole
    model whose local leaves keep their initial values, untouched by the server's optimiser; it is the
    start of a site that joins, not a model to use. A site whose own leaves are no longer finite is left
    out like one whose message is not.

    Args:
        algorithm: one whose broadcast is the parameters, and whose message is like them.
        pattern: see `split`; a model that it does not fit is refused by `init_server` and `init_site`.

    Returns:
        The algorithm, with `personal` the shared leaves of the server and the site's own.

    Raises:
        ValueError: when `pattern` is no regular expression.
    """
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"local={pattern!r}: is no regular expression: {error}") from error

    def init_server(params: Params) -> Any:
        return algorithm.init_server(split(params, pattern)[0])._replace(params=params)

    def init_site(params: Params) -> Kept:
        return Kept(split(params, pattern)[1], algorithm.init_site(params))

    def broadcast(server: Any) -> Params:
        return split(server.params, pattern)[0]

    def begin(shared: Params, site: Kept, key: jax.Array) -> Any:
        return algorithm.client.start(merge(shared, site.own), site.base, key)

    def finish(shared: Params, site: Kept, local: Any) -> tuple[Report, Kept]:
        report, base = algorithm.client.finish(merge(shared, site.own), site.base, local)
        own = split(local.params, pattern)[1]
        finite = jnp.array([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(own)]).all()
        weight = jnp.where(finite, report.weight, jnp.nan)
        message = split(report.message, pattern)[0]
        return report._replace(message=message, weight=weight), Kept(own, base)

    def server(state: Any, message: Params, fraction: Array) -> Any:
        shared, initial = split(state.params, pattern)
        new = algorithm.server(state._replace(params=shared), message, fraction)
        return new._replace(params=merge(new.params, initial))

    def personal(server: Any, site: Kept) -> Params:
        return merge(split(server.params, pattern)[0], site.own)

    client = Client(begin, algorithm.client.step, finish)
    return Algorithm(init_server, init_site, broadcast, client, server, personal)


class Beside(NamedTuple):
    """What a site keeps under `train_beside`: the algorithm's site state, and a model of its own."""

    base: Any
    own: Params
    optimizer: Any


class Pair(NamedTuple):
    """What a site holds during a round of `train_beside`."""

    broadcast: Any
    base: Any
    own: Local


def train_beside(
    algorithm: Algorithm,
    loss: Callable[[Params, Any, Any, Batch, jax.Array], jax.Array],
    optimizer: optax.GradientTransformation,
    init: Callable[[Params], Params],
    *,
    keep_optimizer: bool,
) -> Algorithm:
    """Has every site train a model of its own beside the algorithm, on the same batches.

    Guarantees: the algorithm itself goes on as if it were alone. Both models meet the same randomness, so
    that an augmentation is computed once.

    Args:
        algorithm: whose state at a site during a round has a field `params`.
        loss: `(own, params, broadcast, batch, key) -> float32[]`, what the site's own parameters lower;
            `params` is the algorithm's model at the site before its step.
        optimizer: of the site's own parameters.
        init: makes them from the initial model.
        keep_optimizer: whether the optimiser's state is kept from round to round.

    Returns:
        The algorithm with a site state `Beside`; `personal` is for the caller to add.
    """

    def init_site(params: Params) -> Beside:
        own = init(params)
        kept = optimizer.init(own) if keep_optimizer else ()
        return Beside(algorithm.init_site(params), own, kept)

    def begin(broadcast: Any, site: Beside, key: jax.Array) -> Pair:
        state = site.optimizer if keep_optimizer else optimizer.init(site.own)
        base = algorithm.client.start(broadcast, site.base, key)
        return Pair(broadcast, base, start(site.own, state, key))

    def step(pair: Pair, batch: Batch) -> Pair:
        def own_loss(own: Params, batch: Batch, key: jax.Array) -> jax.Array:
            return loss(own, pair.base.params, pair.broadcast, batch, key)

        own = gradient_step(own_loss, optimizer)(pair.own, batch)
        return pair._replace(base=algorithm.client.step(pair.base, batch), own=own)

    def finish(broadcast: Any, site: Beside, pair: Pair) -> tuple[Report, Beside]:
        report, base = algorithm.client.finish(broadcast, site.base, pair.base)
        return report, Beside(base, pair.own.params, pair.own.optimizer if keep_optimizer else ())

    return algorithm._replace(init_site=init_site, client=Client(begin, step, finish))
