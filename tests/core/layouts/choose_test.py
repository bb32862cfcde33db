from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest

from fl_jax.core import layouts

CNN = {"kernel": jax.ShapeDtypeStruct((3, 3, 4, 8), jnp.float32)}
MLP = {"kernel": jax.ShapeDtypeStruct((64, 8), jnp.float32)}
LARGE = {"kernel": jax.ShapeDtypeStruct((4096, 4096), jnp.float32)}


@pytest.mark.parametrize(
    ("params", "sites", "platform", "count", "layout"),
    [
        (CNN, 5, "cpu", 1, "sequential"),
        (CNN, 5, "cpu", 2, "mesh"),
        (MLP, 5, "cpu", 2, "sequential"),
        (CNN, 1, "gpu", 4, "sequential"),
        (CNN, 5, "gpu", 1, "sequential"),
        (LARGE, 5, "gpu", 1, "sequential"),
        (MLP, 100, "gpu", 1, "vmapped"),
        (MLP, 100, "gpu", 2, "mesh"),
    ],
)
def test_the_layout_goes_by_model_and_backend(params, sites, platform, count, layout):
    algorithm = SimpleNamespace(chained=False)
    devices = [SimpleNamespace(platform=platform)] * count
    choice = layouts.choose(algorithm, params, sites, devices)
    assert choice.layout == layout
    assert choice.reason


def test_short_steps_go_several_a_call():
    algorithm, devices = SimpleNamespace(chained=False), [SimpleNamespace(platform="cpu")]
    assert layouts.choose(algorithm, MLP, 5, devices).steps_per_call > 1
    assert layouts.choose(algorithm, CNN, 5, devices).steps_per_call == 1


def test_a_layout_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="layout='meshed': must be one of"):
        layouts.make("meshed", None, None)


def test_a_chained_algorithm_runs_site_after_site():
    devices = [SimpleNamespace(platform="gpu")] * 2
    algorithm = SimpleNamespace(chained=True)
    assert layouts.choose(algorithm, CNN, 5, devices).layout == "sequential"
