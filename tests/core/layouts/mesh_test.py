"""The mesh layout: its queue of sites, and runs that resume on another number of devices."""

import os
import subprocess
import sys
import threading
from itertools import repeat
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from layout_problem import ALGORITHM, BATCHES, EVERYONE, begin, equal
from linear_problem import linear_loss, site_batches, streamed

from fl_jax.aggregators.weighted_mean import weighted_mean
from fl_jax.algorithms.scaffold import scaffold
from fl_jax.core import layouts
from fl_jax.core.rounds import run_rounds
from fl_jax.core.types import Batch
from fl_jax.experiment.checkpoint import Store
from fl_jax.experiment.reporter import SILENT

SITES = 5


def go_on(folder, until):
    """Restores what is there, takes rounds over all devices, and saves after each."""
    algorithm, aggregator = scaffold(linear_loss, optax.sgd(0.1)), weighted_mean()
    params = {"w": jnp.ones((4, 2)), "b": jnp.zeros(2)}
    state = layouts.init(algorithm, aggregator, params, SITES, jax.random.key(1))
    batches = streamed(site_batches([3, 1, 2, 2, 1], sites=SITES))
    store = Store(folder)
    found = store.restore(state, SILENT)
    state = found[1] if found else state
    for after, _ in run_rounds(
        layouts.mesh(algorithm, aggregator),
        state,
        until=until,
        batches=lambda round, site: batches(site),
        participants=lambda round: np.ones(SITES, bool),
    ):
        store.save(int(after.round), after, {"devices": jax.device_count()})


def test_one_device_goes_on_where_four_left_and_back(tmp_path):
    go_on(tmp_path / "moved", 1)
    here = Path(__file__).parent
    tests = here.parent.parent
    one = {"XLA_FLAGS": "--xla_force_host_platform_device_count=1"}
    one["PYTHONPATH"] = os.pathsep.join(map(str, (tests.parent, tests, here)))
    code = f"from mesh_test import go_on; go_on({str(tmp_path / 'moved')!r}, 2)"
    subprocess.run([sys.executable, "-c", code], env=os.environ | one, check=True, timeout=120)
    go_on(tmp_path / "moved", 3)
    go_on(tmp_path / "stayed", 3)
    moved, stayed = (Store(tmp_path / name, read_only=True) for name in ("moved", "stayed"))
    assert [store.read(2)[1]["devices"] for store in (moved, stayed)] == [1, 4]
    assert moved.read(3)[1]["arrays"] == stayed.read(3)[1]["arrays"]


def test_arrays_over_several_devices_are_saved_and_put_where_they_are_asked_for(tmp_path):
    over = jax.make_mesh((4,), ("site",), axis_types=(jax.sharding.AxisType.Auto,))
    apart = jax.sharding.NamedSharding(over, jax.sharding.PartitionSpec("site"))
    numbers = np.arange(24, dtype=np.float32).reshape(8, 3)
    store = Store(tmp_path)
    store.save(1, {"w": jax.device_put(numbers, apart)}, {})
    for like in (jax.device_put(jnp.zeros((8, 3)), apart), jnp.zeros((8, 3))):
        found = store.restore({"w": like}, SILENT)
        assert found is not None
        assert found[1]["w"].sharding == like.sharding
        np.testing.assert_array_equal(found[1]["w"], numbers)


def over(devices, **options):
    """The mesh layout over some devices."""
    mesh = jax.make_mesh((devices,), ("site",), devices=jax.devices()[:devices])
    return layouts.mesh(ALGORITHM, weighted_mean(), mesh, **options)


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
