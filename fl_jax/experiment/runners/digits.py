"""One federated training on scikit-learn's digits, compiled as one program.

Fields of a run, besides `seed`, which sets partition, initial parameters, participation and batches:

- sites, alpha, minimum: the partition, see `fl_jax.data.label_skew.dirichlet`
- rounds, epochs, batch_size, min_sites: as in `fl_jax.experiment.config`; batch_size=0 takes a site's images
- model, algorithm, aggregator, optimizer: specs; the last three may use `client_lr` and `server_lr`
- weighting: as in `fl_jax.experiment.config`; may be left out
- client_lr, server_lr: learning rates; other values need no new compilation
- faults: specs of `fl_jax.faults`; with any, a round whose model is not finite is void
- global_model: False if the server's model is not usable alone, as in FedPer
- target: a test accuracy; `rounds_to_target` is the first round that reaches it

Results: `val_` and `test_` `accuracy` and `loss` of the global model after the last round, and by round;
`own_accuracy` of the model that each site uses (personal or global), averaged over sites by size. It is
estimated on all images, weighted by the site's frequencies of digits, since a site has few test images.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from fl_jax.core import layouts, spec
from fl_jax.core.keys import stream
from fl_jax.core.participation import participation
from fl_jax.core.rounds import run_rounds, settle
from fl_jax.core.types import Aggregator, Algorithm, Array, Batch, Params
from fl_jax.data import digits as datasets
from fl_jax.data import label_skew
from fl_jax.faults.fault import Fault, build_faults, draw_strikes, present_sites, steps_taken
from fl_jax.faults.transport import with_faults
from fl_jax.tasks.multi_class import multi_class
from fl_jax.tasks.task import Task

Settings = dict[str, Any]
TRACED = ("client_lr", "server_lr")
PLANNED = ("sites", "alpha", "minimum", "rounds", "epochs", "batch_size", "min_sites")


class Plan(NamedTuple):
    """Everything that depends on the seed.

    Attributes:
        key: of the run.
        rows: int32[R, S, T, B], images of each round's batches after faults, -1 for padding.
        present: bool[R, S], after faults.
        struck: bool[R, F, S], see `draw_strikes`.
        mixture: float32[S, L], images of each digit at each site, as a share of all images.
        sizes: float32[S], images of each site.
    """

    key: jax.Array
    rows: np.ndarray
    present: np.ndarray
    struck: np.ndarray
    mixture: np.ndarray
    sizes: np.ndarray


def digits(
    seeds: Sequence[int], folder: Path | None = None
) -> Callable[[Settings, int], dict[str, Any]]:
    """Makes the function that does one run.

    Args:
        seeds: all seeds of the sweep; batches are padded to their largest site, so that one compiled
            program serves every seed.
        folder: not used.

    Returns:
        `(settings, seed) -> results`, pure; safe to call from several threads.
    """
    del folder
    data = datasets.load()

    @lru_cache(maxsize=128)
    def plan(seed: int, **fields: Any) -> Plan:
        return _plan(data, seed, seeds, **fields)

    @lru_cache(maxsize=64)
    def scanned(**fields: Any) -> Callable[..., dict[str, Any]]:
        return jax.jit(partial(_scanned, data, fields))

    @lru_cache(maxsize=64)
    def streamed(
        rates: tuple[Any, ...], sites: int, **fields: Any
    ) -> Callable[[Plan], dict[str, Any]]:
        return _streamed(data, fields, dict(rates), sites)

    def run(settings: Settings, seed: int) -> dict[str, Any]:
        fields = {k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()}
        rates = {name: fields.pop(name) for name in TRACED}
        target, usable, sites = (
            fields.pop("target"),
            fields.pop("global_model"),
            int(settings["sites"]),
        )
        planned = plan(
            seed, faults=fields["faults"], **{name: fields.pop(name) for name in PLANNED}
        )
        if _parts(data, fields, rates, sites)[1].chained:
            curves = streamed(tuple(rates.items()), sites, **fields)(planned)
        else:
            curves = scanned(**fields)(rates, planned)
        curves = jax.device_get(curves)
        reached = curves["test_accuracy_by_round"] >= target
        results: dict[str, Any] = {name: value.tolist() for name, value in curves.items()}
        results["rounds_to_target"] = int(reached.argmax()) + 1 if reached.any() else None
        return {name: value for name, value in results.items() if usable or "own" in name}

    return run


def _parts(
    data: datasets.Digits, fields: Settings, rates: dict[str, Any], sites: int
) -> tuple[Task, Algorithm, Aggregator, tuple[Fault, ...]]:
    model = spec.build(fields["model"], "fl_jax.models", data.labels.shape[1])
    task = multi_class(model, data.inputs[:1])
    optimizer = spec.transformation(fields["optimizer"], rates)
    algorithm = spec.build(
        fields["algorithm"], "fl_jax.algorithms", task.loss, optimizer, values=rates
    )
    aggregator = spec.build(fields["aggregator"], "fl_jax.aggregators", values=rates)
    faults = build_faults(fields["faults"], sites)
    return task, algorithm, with_faults(aggregator, faults), faults


def _scanned(
    data: datasets.Digits, fields: Settings, rates: dict[str, Array], plan: Plan
) -> dict[str, Array]:
    sites = plan.present.shape[1]
    task, algorithm, aggregator, faults = _parts(data, fields, rates, sites)
    weighting = fields.get("weighting", "examples")
    whole = layouts.whole_round(algorithm, aggregator, sizes=plan.sizes, weighting=weighting)

    def one(state: layouts.State, of: tuple[Array, ...]) -> tuple[layouts.State, Any]:
        rows, present, struck = of
        after, metrics = whole(state, _batch(data, rows, faults, struck), present)
        counts = {}
        if faults:
            settled, void = settle(state, after, metrics["accepted"], min_sites=1)
            if any(fault.trusting for fault in faults):
                void = jnp.zeros_like(void)
            else:
                after = settled
            counts = {
                "taken_by_round": metrics["accepted"].sum(),
                "void_by_round": void.astype(int),
            }
        return after, _judge(task, after.server.params, data) | counts

    params = task.init(stream(plan.key, "init"))
    state = layouts.init(algorithm, aggregator, params, sites, plan.key)
    state, curves = jax.lax.scan(one, state, (plan.rows, plan.present, plan.struck))
    return _results(data, task, algorithm, state, curves, plan.mixture)


def _streamed(
    data: datasets.Digits, fields: Settings, rates: dict[str, Any], sites: int
) -> Callable[[Plan], dict[str, Array]]:
    """Like `_scanned`, for algorithms that pass the model from site to site."""
    task, algorithm, aggregator, faults = _parts(data, fields, rates, sites)
    layout = layouts.sequential(algorithm, aggregator)
    judge = jax.jit(partial(_judge, task, data=data))

    def run(plan: Plan) -> dict[str, Array]:
        params = task.init(stream(plan.key, "init"))
        state = layouts.init(algorithm, aggregator, params, sites, plan.key)

        def batches(round: int, site: int) -> Iterator[Batch]:
            struck = plan.struck[round, :, site]
            return (_batch(data, rows, faults, struck) for rows in plan.rows[round, site])

        history, last = [], state
        for last, _ in run_rounds(
            layout,
            state,
            until=len(plan.rows),
            batches=batches,
            participants=lambda round: plan.present[round],
            min_sites=int(bool(faults)),
        ):
            history.append(judge(last.server.params))
        curves = jax.tree.map(lambda *values: jnp.stack(values), *history)
        return _results(data, task, algorithm, last, curves, plan.mixture)

    return run


def _batch(
    data: datasets.Digits, rows: Array, faults: Sequence[Fault] = (), struck: Array | None = None
) -> Batch:
    numpy = jnp if isinstance(rows, jax.Array) else np
    inputs, labels = numpy.asarray(data.inputs), numpy.asarray(data.labels)[rows]
    for number, fault in enumerate(faults):
        if fault.relabel:
            assert struck is not None
            hit = struck[number]
            hit = hit.reshape(hit.shape + (1,) * (labels.ndim - hit.ndim))
            labels = numpy.where(hit, fault.relabel(labels), labels)
    return Batch(inputs[rows], labels, numpy.asarray(rows >= 0, np.float32))


def _judge(task: Task, params: Params, data: datasets.Digits) -> dict[str, Array]:
    figures = {}
    for name, rows in (("val", data.validation), ("test", data.test)):
        logits, labels = task.logits(params, data.inputs[rows]), data.labels[rows]
        hit = logits.argmax(-1) == labels.argmax(-1)
        figures[f"{name}_accuracy_by_round"] = hit.mean()
        figures[f"{name}_loss_by_round"] = optax.softmax_cross_entropy(logits, labels).mean()
    return figures


def _results(
    data: datasets.Digits,
    task: Task,
    algorithm: Algorithm,
    state: layouts.State,
    curves: dict[str, Array],
    mixture: Array,
) -> dict[str, Array]:
    models = jax.tree.map(lambda x: x[None], state.server.params)
    if algorithm.personal:
        models = jax.vmap(algorithm.personal, (None, 0))(state.server, state.sites)
    results = curves | {name.removesuffix("_by_round"): curve[-1] for name, curve in curves.items()}
    for name, rows in (("val", data.validation), ("test", data.test)):
        inputs, labels = data.inputs[rows], data.labels[rows]
        logits = jax.vmap(task.logits, (0, None))(models, inputs)
        hit = logits.argmax(-1) == labels.argmax(-1)
        of_digit = hit @ labels / labels.sum(0)  # [S or 1, L], each digit's accuracy
        results[f"{name}_own_accuracy"] = (mixture * of_digit).sum()
    return results


def _plan(
    data: datasets.Digits,
    seed: int,
    seeds: Sequence[int],
    *,
    sites: int,
    alpha: float,
    minimum: int,
    rounds: int,
    epochs: int,
    batch_size: int,
    min_sites: int,
    faults: tuple[str, ...],
) -> Plan:
    digit = data.labels[data.train].argmax(-1)
    deal = partial(label_skew.dirichlet, digit, sites, alpha=alpha, minimum=minimum)
    largest = max(len(part) for s in {*seeds, seed} for part in deal(seed=s))
    size = batch_size or largest
    steps = -(-largest // size)  # of an epoch
    parts, generator = deal(seed=seed), np.random.default_rng(seed)
    rows = np.full((rounds, sites, epochs, steps * size), -1, np.int32)
    for round, site, epoch in np.ndindex(rounds, sites, epochs):
        order = generator.permutation(data.train[parts[site]])
        rows[round, site, epoch, : len(order)] = order
    key = jax.random.key(seed)
    planned = [participation(key, round, sites, min_sites) for round in range(rounds)]
    rows = rows.reshape(rounds, sites, epochs * steps, size)
    wrong = build_faults(faults, sites)
    drawn = jax.vmap(lambda round: draw_strikes(wrong, key, round, sites))(jnp.arange(rounds))
    struck = np.asarray(drawn) & np.array(planned)[:, None]
    present = [present_sites(wrong, s, p) for s, p in zip(struck, planned, strict=True)]
    for round, place, site in np.argwhere(struck):
        fault, steps_with_data = wrong[place], np.flatnonzero((rows[round, site] >= 0).any(-1))
        left = steps_with_data[steps_taken(fault, len(steps_with_data)) :]
        rows[round, site, left] = -1
        present[round][site] &= not fault.drops_out
    counts = np.array([data.labels[data.train[part]].sum(0) for part in parts])
    return Plan(
        key,
        rows,
        np.array(present),
        struck,
        (counts / counts.sum()).astype(np.float32),
        counts.sum(1).astype(np.float32),
    )
