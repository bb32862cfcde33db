"""The contract of every algorithm, aggregator and layout; new files are picked up automatically.

Layouts agree to 1e-5 (absolute, or relative for values above 1) after four rounds from values of order 1.
They run the same float32 operations, but XLA fuses them differently and sums batched products in another
order. Each operation has a rounding error of 6e-8 relative; some 20 consecutive operations per step add up to
about 1e-6, and a round has a few steps. Quantisers and message selection could amplify this for values within
1e-6 of a threshold; these inputs have none.

The default run covers every algorithm with the weighted mean on all layouts but `whole_round`, which is
`vmapped` in one program; every aggregator with FedAvg on `sequential` and `vmapped`; and each aggregator with
every second message structure (one algorithm per list of shapes) on `sequential`. `-m slow` runs the rest of
the product.

`<algorithm> <rule>` is an algorithm wrapped in `federated_batch_stats`, for a network with BatchNorm, with
the weighted mean. The default run covers FedAvg on three layouts and three others on `sequential`.
"""

from collections.abc import Callable
from functools import cache, lru_cache, partial
from importlib import import_module
from inspect import signature
from itertools import product
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from linear_problem import site_batches, streamed
from normalised_problem import TASK, normalised_variables
from personal_problem import network_loss, network_params

from fl_jax.core import layouts, spec
from fl_jax.core.types import Algorithm, Batch
from fl_jax.wrappers.batch_stats import RULES, federated_batch_stats

ALGORITHMS = spec.names("fl_jax.algorithms")
AGGREGATORS = spec.names("fl_jax.aggregators")
LAYOUTS = ("sequential", "vmapped", "whole_round", "mesh")
SITES = 8  # Bulyan needs seven, and one may be absent
EVERYONE = np.ones(SITES, bool)
ABSENT = EVERYONE & (np.arange(SITES) != 1)
TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}


class Case(NamedTuple):
    algorithm: str
    aggregator: str
    layout: str


class Round(NamedTuple):
    """A round's input; site 4 may drop out after its first step."""

    batches: Batch
    present: np.ndarray = EVERYONE
    dropout: bool = False


class Row(NamedTuple):
    """A round's output, and the number of programs compiled for it."""

    state: layouts.State
    metrics: dict[str, Any]
    compiled: int


@cache
def algorithm(name: str) -> Algorithm:
    name, _, rule = name.partition(" ")
    loss = TASK.loss if rule else network_loss
    factory = getattr(import_module(f"fl_jax.algorithms.{name}"), name)
    keeps = "keep_optimizer" in signature(factory).parameters  # momentum, from round to round
    # A Newton step multiplies what rounding changes by up to 1 / l2.
    arguments = {"fed_newton": "l2=1.0"}.get(name, "keep_optimizer=True" if keeps else "")
    text = f"{name}({arguments})"
    built = spec.build(text, "fl_jax.algorithms", loss, optax.sgd(0.1, momentum=0.9))
    return federated_batch_stats(built, rule) if rule else built


def initial(name: str):
    return normalised_variables() if " " in name else network_params()


def message_shapes(name: str) -> tuple[tuple[int, ...], ...]:
    """The shapes of a site's message."""

    built = algorithm(name)

    def report():
        params, key = network_params(), jax.random.key(0)
        broadcast, site = built.broadcast(built.init_server(params)), built.init_site(params)
        return built.client.finish(broadcast, site, built.client.start(broadcast, site, key))[0]

    return tuple(leaf.shape for leaf in jax.tree.leaves(jax.eval_shape(report).message))


def cases():
    """All cases, grouped by algorithm and aggregator; those outside the default run are marked slow."""
    by_shapes = {message_shapes(name): name for name in [*ALGORITHMS, "fed_avg"]}
    for name in ALGORITHMS:
        names = LAYOUTS[:1] if algorithm(name).chained else LAYOUTS
        for aggregator, layout in product(AGGREGATORS, names):
            every_second = [*by_shapes.values()][AGGREGATORS.index(aggregator) % 2 :: 2]
            quick = (
                (aggregator == "weighted_mean" and (layout != "whole_round" or name == "fed_avg"))
                or (name == "fed_avg" and layout in LAYOUTS[:2])
                or (name in every_second and layout == "sequential")
            )
            case = Case(name, aggregator, layout)
            yield pytest.param(case, id="-".join(case), marks=() if quick else pytest.mark.slow)
    yield from cases_with_statistics()


SEVERAL = ("apfl", "ditto", "ifca", "p_fed_me")
"""They train several models at a site, which `federated_batch_stats` refuses."""
QUICK_WITH_STATISTICS = ("fed_avg aggregate", "fed_bn local", "scaffold aggregate", "cyclic naive")
"""Algorithms with running statistics in the default run."""


def cases_with_statistics():
    """Every algorithm with every rule for running statistics."""
    for name, rule in product(ALGORITHMS, RULES):
        if name in (*SEVERAL, "fed_newton"):  # which takes no step that could update statistics
            continue
        for layout in LAYOUTS[:1] if algorithm(name).chained else LAYOUTS:
            case = Case(f"{name} {rule}", "weighted_mean", layout)
            everywhere = case.algorithm == QUICK_WITH_STATISTICS[0] and layout != "whole_round"
            quick = everywhere or (
                case.algorithm in QUICK_WITH_STATISTICS and layout == "sequential"
            )
            yield pytest.param(case, id="-".join(case), marks=() if quick else pytest.mark.slow)


every_case = pytest.mark.parametrize("case", [*cases()], scope="module")


def spoiled(batches, site):
    inputs = batches.inputs.copy()
    inputs[site] = np.nan
    return batches._replace(inputs=inputs)


def emptied(batches, site, after=0):
    mask = batches.mask.copy()
    mask[site, after:] = 0
    return batches._replace(mask=mask)


BATCHES = site_batches((3, 1, 2, 2, 3, 2, 1, 3), sites=SITES, size=4)
HISTORY = (
    Round(BATCHES),
    Round(BATCHES, ABSENT, dropout=True),
    Round(spoiled(emptied(BATCHES, 0, after=1), 6)),  # a straggler, and a site that sends NaN
    Round(BATCHES),
)


COMPILED = []


@pytest.fixture(scope="module", autouse=True)
def _count_compilations():
    def listen(event, seconds, **_):
        if event.endswith("backend_compile_duration"):
            COMPILED.append(seconds)

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield
    jax.monitoring.unregister_event_duration_listener(listen)


class Run(NamedTuple):
    """A layout as a function of (state, round), the initial state, and the rounds of `HISTORY`."""

    run: Callable[[layouts.State, Round], tuple[layouts.State, dict[str, Any]]]
    start: layouts.State
    rows: list[Row]


@lru_cache(maxsize=16)
def ran(case):
    small = {"drive": "exact_below=0"}.get(case.aggregator, "")  # all of these messages' arrays are
    aggregator = spec.build(f"{case.aggregator}({small})", "fl_jax.aggregators")
    parts = algorithm(case.algorithm), aggregator
    run = layout(case.layout, *parts)
    start = state = layouts.init(*parts, initial(case.algorithm), SITES, jax.random.key(0))
    rows = []
    for given in HISTORY:
        before = len(COMPILED)
        state, metrics = jax.block_until_ready(run(state, given))
        rows.append(Row(state, metrics, len(COMPILED) - before))
    return Run(run, start, rows)


def layout(name, *parts):
    if name == "whole_round":
        whole, at_four = jax.jit(layouts.whole_round(*parts)), np.arange(SITES) == 4
        return lambda s, r: whole(s, r.batches, r.present & ~(r.dropout & at_four))
    if name == "mesh":
        two = jax.make_mesh((2,), ("site",), devices=jax.devices()[:2])
        run_round = layouts.mesh(*parts, two)
    else:
        run_round = getattr(layouts, name)(*parts)

    def run(state, given):
        def batches(site):
            for batch in streamed(given.batches)(site):
                yield batch
                if given.dropout and site == 4:
                    raise layouts.Dropout

        return run_round(state, batches, given.present)

    return run


def plain(tree):
    """NumPy arrays only, as in a checkpoint."""
    is_key = lambda x: jnp.issubdtype(x.dtype, jax.dtypes.prng_key)  # noqa: E731
    return jax.tree.map(lambda x: np.array(jax.random.key_data(x) if is_key(x) else x), tree)


def restored(state):
    """The state from NumPy arrays; only keys are wrapped again."""

    def wrap(leaf, like):
        is_key = jnp.issubdtype(like.dtype, jax.dtypes.prng_key)
        return jax.random.wrap_key_data(leaf) if is_key else leaf

    return jax.tree.map(wrap, plain(state), state)


def close(a, b, **tolerance):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, **tolerance), plain(a), plain(b))


def equal(a, b):
    jax.tree.map(np.testing.assert_array_equal, plain(a), plain(b))


@every_case
def test_it_compiles_in_the_first_round_only(case):
    first, *later = [row.compiled for row in ran(case).rows]
    assert first > 0
    assert later == [0] * len(later)


@every_case
def test_layouts_agree(case):
    if case.layout == "sequential":
        pytest.skip("the reference of the other layouts")
    others = ran(case._replace(layout="sequential")).rows
    for row, other in zip(ran(case).rows, others, strict=True):
        close(row.state, other.state, **TOLERANCE)
        assert row.metrics.keys() == other.metrics.keys()
        shown = [row.metrics, other.metrics]
        if case.layout == "whole_round":  # sees a dropout as an absence
            shown = [m | {"dropped": None} for m in shown]
        close(*shown, **TOLERANCE)


@every_case
def test_a_split_run_equals_an_uninterrupted_one(case):
    run, _, rows = ran(case)
    before, state = len(COMPILED), rows[0].state
    for given in HISTORY[1:]:
        state, _ = run(restored(state), given)
    equal(state, rows[-1].state)
    assert len(COMPILED) == before


@every_case
def test_absent_sites_change_nothing(case):
    run, _, rows = ran(case)
    state = rows[0].state
    absent = run(state, Round(BATCHES, ABSENT))
    equal(run(state, Round(spoiled(BATCHES, 1), ABSENT)), absent)
    equal(run(state, Round(emptied(BATCHES, 1))), absent)
    left = Round(BATCHES, EVERYONE & (np.arange(SITES) != 4))
    equal(run(state, Round(BATCHES, dropout=True))[0], run(state, left)[0])


@every_case
def test_messages_that_are_not_finite_are_left_out(case):
    run, start, _ = ran(case)
    with_nan, metrics = run(start, Round(spoiled(BATCHES, 1)))
    without, _ = run(start, Round(BATCHES, ABSENT))
    np.testing.assert_array_equal(metrics["accepted"], ABSENT)
    equal(with_nan._replace(participated=without.participated), without)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(plain(with_nan.server.params)))


@every_case
def test_the_order_of_the_sites_does_not_matter(case):
    if algorithm(case.algorithm).chained:
        pytest.skip("the model goes from site to site")
    run, start, _ = ran(case)

    def twice(batches, key=0):
        state = start._replace(key=jax.random.key(key))
        for _ in range(2):
            state, _ = run(state, Round(batches))
        return plain(state.server)

    server = twice(BATCHES)
    if any(map(np.any, jax.tree.leaves(jax.tree.map(np.not_equal, twice(BATCHES, 1), server)))):
        pytest.skip("each site's random key depends on its index")
    order = np.array([3, 7, 0, 6, 1, 5, 2, 4])
    permuted = twice(jax.tree.map(lambda x: x[order], BATCHES))
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-6, atol=1e-6), permuted, server)


@pytest.mark.parametrize("name", SEVERAL)
def test_several_models_at_a_site_refuse_running_statistics(name):
    with pytest.raises(ValueError, match="trains one model at a site"):
        ran(Case(f"{name} aggregate", "weighted_mean", "sequential"))


@pytest.mark.parametrize("name", [n for n in ALGORITHMS if algorithm(n).personal])
def test_a_personal_model_is_a_model(name):
    state = ran(Case(name, "weighted_mean", "sequential")).rows[-1].state
    models = jax.vmap(algorithm(name).personal, (None, 0))(state.server, state.sites)
    jax.tree.map(
        lambda m, p: np.testing.assert_equal(m.shape, (SITES, *p.shape)), models, network_params()
    )
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(models))
