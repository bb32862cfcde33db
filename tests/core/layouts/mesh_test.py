"""A run that goes on with fewer devices, and then with more, ends with the same bits."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from linear_problem import linear_loss, site_batches, streamed

from fl_jax.aggregators.weighted_mean import weighted_mean
from fl_jax.algorithms.scaffold import scaffold
from fl_jax.core import layouts
from fl_jax.core.rounds import run_rounds
from fl_jax.experiment.checkpoint import Store

SITES = 5


def go_on(folder, until):
    """Restores what is there, takes rounds over all devices, and saves after each."""
    algorithm, aggregator = scaffold(linear_loss, optax.sgd(0.1)), weighted_mean()
    params = {"w": jnp.ones((4, 2)), "b": jnp.zeros(2)}
    state = layouts.init(algorithm, aggregator, params, SITES, jax.random.key(1))
    batches = streamed(site_batches([3, 1, 2, 2, 1], sites=SITES))
    store = Store(folder)
    found = store.restore(state, complain=print)
    state = found[1] if found else state
    for after, _ in run_rounds(
        layouts.mesh(algorithm, aggregator),
        state,
        until=until,
        batches=lambda round, site: batches(site),
        participants=lambda round: np.ones(SITES, bool),
    ):
        store.save(int(after.round), after, {"devices": jax.device_count()})
    store.close()


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
        found = store.restore({"w": like}, complain=print)
        assert found is not None
        assert found[1]["w"].sharding == like.sharding
        np.testing.assert_array_equal(found[1]["w"], numbers)
