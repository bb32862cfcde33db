"""What layouts do beside what `contract_test.py` holds every one of them to."""

import threading
from itertools import repeat

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from linear_problem import linear_loss, site_batches, streamed

from fl_jax.aggregators.weighted_mean import weighted_mean
from fl_jax.algorithms.fed_avg import fed_avg
from fl_jax.core import layouts
from fl_jax.core.layouts import common
from fl_jax.core.types import Batch

ALGORITHM = fed_avg(linear_loss, optax.adam(0.1), keep_optimizer=True)
CHAINED = ALGORITHM._replace(chained=True)
STREAMING = ("sequential", "vmapped", "mesh")
EVERYONE = np.ones(3, bool)
BATCHES = site_batches((3, 1, 2))


def made(layout, algorithm=ALGORITHM, aggregator=None):
    return getattr(layouts, layout)(algorithm, aggregator or weighted_mean())


def begin(params, *, algorithm=ALGORITHM, aggregator=None, sites=3):
    parts = algorithm, aggregator or weighted_mean()
    return layouts.init(*parts, params, sites, jax.random.key(0))


def over(devices, **options):
    mesh = jax.make_mesh((devices,), ("site",), devices=jax.devices()[:devices])
    return layouts.mesh(ALGORITHM, weighted_mean(), mesh, **options)


def spoiled(batches, site):
    inputs = batches.inputs.copy()
    inputs[site] = np.nan
    return batches._replace(inputs=inputs)


def equal(a, b):
    key = lambda s: s._replace(key=jax.random.key_data(s.key))  # noqa: E731
    jax.tree.map(np.testing.assert_array_equal, key(a), key(b))


@pytest.mark.parametrize("layout", STREAMING)
def test_a_site_that_was_left_out_takes_part_again(layout, params):
    run, before = made(layout), begin(params)
    state, _ = run(before, streamed(spoiled(BATCHES, 1)), EVERYONE)
    first, second = (jax.tree.map(lambda x: x[1], s.sites) for s in (before, state))
    jax.tree.map(np.testing.assert_array_equal, first, second)
    _, metrics = run(state, streamed(BATCHES), EVERYONE)
    np.testing.assert_array_equal(metrics["accepted"], EVERYONE)


@pytest.mark.parametrize("layout", STREAMING)
def test_the_state_passed_in_stays_valid(layout, params):
    run, state = made(layout), begin(params)
    first, _ = run(state, streamed(BATCHES), EVERYONE)
    again, _ = run(state, streamed(BATCHES), EVERYONE)
    equal(first, again)


@pytest.mark.parametrize("layout", [*STREAMING, "whole_round"])
def test_what_became_of_every_site_shows_in_the_metrics(layout, params):
    batches = spoiled(site_batches((2, 2, 2, 0, 2, 1), sites=6), 4)
    present = np.array([1, 0, 1, 1, 1, 1], bool)

    def dropping(site):
        for batch in streamed(batches)(site):
            yield batch
            if site == 2:
                raise layouts.Dropout

    state, run = begin(params, sites=6), made(layout)
    if layout == "whole_round":
        state, metrics = jax.jit(run)(state, batches, present & (np.arange(6) != 2))
    else:
        state, metrics = run(state, dropping, present)
        np.testing.assert_array_equal(metrics["dropped"], [0, 0, 1, 0, 0, 0])
    nan = np.nan
    np.testing.assert_array_equal(metrics["accepted"], [1, 0, 0, 0, 0, 1])
    np.testing.assert_array_equal(metrics["examples"], [12, nan, nan, nan, 12, 4])
    np.testing.assert_array_equal(metrics["weight"], [12, nan, nan, nan, 12, 4])
    np.testing.assert_array_equal(
        metrics["bytes"], [44, nan, nan, nan, 44, 44]
    )  # 10 values, 1 weight
    np.testing.assert_array_equal(np.isnan(metrics["loss"]), [0, 1, 1, 1, 1, 0])
    np.testing.assert_array_equal(state.participated, [1, 0, 0, 0, 1, 1])


@pytest.mark.parametrize("layout", [*STREAMING, "whole_round"])
def test_a_round_without_anyone_changes_nothing(layout, params):
    state, run, nobody = begin(params), made(layout), ~EVERYONE
    if layout == "whole_round":
        after, metrics = run(state, BATCHES, nobody)
    else:
        after, metrics = run(state, streamed(BATCHES), nobody)
    equal(after, state._replace(round=state.round + 1))
    ours = {"accepted", "dropped", "weight", "bytes", "refused"}
    assert metrics.keys() == ours | {"loss", "examples"}
    assert np.isnan(metrics["loss"]).all()


def test_bytes_are_those_of_the_aggregators_wire_format(params):
    one_bit = weighted_mean()._replace(payload=lambda message: message["w"].size // 8)
    run = made("sequential", aggregator=one_bit)
    _, metrics = run(begin(params, aggregator=one_bit), streamed(BATCHES), EVERYONE)
    np.testing.assert_array_equal(metrics["bytes"], [5, 5, 5])  # 8 bits and a weight


def test_the_number_of_devices_changes_no_number(params):
    assert len(jax.devices()) >= 4
    batches = site_batches((3, 1, 2, 2, 1), sites=5)
    states = []
    for devices in (1, 2, 4):
        run, state = over(devices, sizes=(3, 1, 2, 2, 1)), begin(params, sites=5)
        for _ in range(2):
            state, _ = run(state, streamed(batches), np.ones(5, bool))
        assert {leaf.device for leaf in jax.tree.leaves(state)} == {jax.devices()[0]}
        states.append(state)
    equal(states[0], states[1])
    equal(states[0], states[2])


@pytest.mark.parametrize(
    ("sizes", "order"), [(None, [0, 1, 2]), ((1, 3, 2), [1, 2, 0]), ((2, 2, 3), [2, 0, 1])]
)
def test_a_mesh_takes_the_longest_site_first(sizes, order, params):
    begun = []

    def batches(site):
        begun.append(site)
        return streamed(BATCHES)(site)

    over(1, sizes=sizes)(begin(params), batches, EVERYONE)
    assert begun == order


def test_devices_train_at_the_same_time(params):
    both = threading.Barrier(2, timeout=60)

    def batches(site):
        for batch in streamed(BATCHES)(0):
            both.wait()  # breaks unless the other site is at a batch too
            yield batch

    over(2)(begin(params), batches, np.array([True, False, True]))


def test_an_error_at_a_site_ends_the_round(params):
    endless = threading.Event()

    def batches(site):
        if site == 1:
            assert endless.wait(60)
            raise KeyError("scan")
        for batch in repeat(Batch(*(leaf[0, 0] for leaf in BATCHES))):
            endless.set()
            yield batch

    with pytest.raises(KeyError, match="scan"):
        over(2)(begin(params), batches, EVERYONE)


def test_a_mesh_has_one_axis_of_sites():
    mesh = jax.make_mesh((2,), ("batch",), devices=jax.devices()[:2])
    with pytest.raises(ValueError, match="batch"):
        layouts.mesh(ALGORITHM, weighted_mean(), mesh)


def test_a_chained_round_is_a_round_at_every_site_in_turn(params):
    one_by_one = begin(params)
    for site in range(3):
        one_by_one, _ = made("sequential")(one_by_one, streamed(BATCHES), np.arange(3) == site)
    chained, _ = made("sequential", CHAINED)(begin(params), streamed(BATCHES), EVERYONE)
    equal(chained, one_by_one._replace(round=jnp.int32(1)))


def test_a_chain_goes_on_after_a_message_that_is_not_finite(params):
    run = made("sequential", CHAINED)
    state, metrics = run(begin(params), streamed(spoiled(BATCHES, 1)), EVERYONE)
    without, _ = run(begin(params), streamed(BATCHES), np.array([True, False, True]))
    np.testing.assert_array_equal(metrics["accepted"], [True, False, True])
    equal(state, without._replace(participated=state.participated))


def test_a_link_of_a_chain_is_one_site_of_s(params):
    add = lambda state, message, fraction: state._replace(extra=state.extra + fraction)  # noqa: E731
    init = lambda params: ALGORITHM.init_server(params)._replace(extra=jnp.zeros(()))  # noqa: E731
    counting = CHAINED._replace(server=add, init_server=init)
    state = begin(params, algorithm=counting)
    state, _ = made("sequential", counting)(state, streamed(BATCHES), np.arange(3) < 2)
    np.testing.assert_allclose(state.server.extra, 2 / 3, rtol=1e-6)


@pytest.mark.parametrize("layout", ["vmapped", "whole_round", "mesh"])
def test_what_is_chained_runs_in_sequential_only(layout):
    with pytest.raises(ValueError, match=f"'{layout}'.* use the layout 'sequential'"):
        made(layout, CHAINED)


def test_a_federation_has_a_site(params):
    with pytest.raises(ValueError, match="sites=0"):
        begin(params, sites=0)


@pytest.mark.parametrize("layout", ["sequential", "mesh"])
def test_several_steps_a_call_change_no_number(layout, params):
    batches = site_batches((5, 1, 2))
    single, several = made(layout), getattr(layouts, layout)
    several = several(ALGORITHM, weighted_mean(), steps_per_call=2)  # 2 + 2 + 1; 1 and 2 at once
    wanted, _ = single(begin(params), streamed(batches), EVERYONE)
    found, metrics = several(begin(params), streamed(batches), EVERYONE)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5),
        (found.server, found.sites),
        (wanted.server, wanted.sites),
    )
    np.testing.assert_array_equal(metrics["accepted"], EVERYONE)


def test_a_call_takes_at_least_one_step():
    with pytest.raises(ValueError, match="steps_per_call=0: a call takes at least one step"):
        layouts.sequential(ALGORITHM, weighted_mean(), steps_per_call=0)


def test_a_batch_is_on_the_device_before_it_is_asked_for():
    device, drawn = jax.devices()[1], []

    def source():
        for number in range(3):
            drawn.append(number)
            yield Batch(np.full((2, 3), number), np.zeros((2, 1)), np.ones(2))

    ahead = common.ahead(source(), device)
    assert not drawn
    for number, batch in enumerate(ahead):
        assert drawn == [*range(min(number + 2, 3))]
        assert batch.inputs.devices() == batch.labels.devices() == {device}
        assert isinstance(batch.mask, np.ndarray)
        assert (np.asarray(batch.inputs) == number).all()
    assert list(common.ahead([], device)) == []
