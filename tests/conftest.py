"""Fixtures that several test files share, and four CPU devices for the layout `mesh`."""

import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fl_jax.core.types import LABELS
from fl_jax.data.slices import Slices

# JAX reads XLA_FLAGS when it first looks for devices. A flag that the caller set comes last and wins.
FOUR_DEVICES = "--xla_force_host_platform_device_count=4"
os.environ["XLA_FLAGS"] = f"{FOUR_DEVICES} {os.environ.get('XLA_FLAGS', '')}".strip()

FIRST = ("end_to_end_test", "kill_test", "rsna_experiment_test", "sweep_test")
"""The longest test files, longest first: started last, they would leave one worker running alone."""


def pytest_collection_modifyitems(items):
    order = {name: number for number, name in enumerate(FIRST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))


@pytest.fixture(scope="session", autouse=True)
def _compilation_cache(tmp_path_factory, request):
    """Shares compiled programs between all workers and the programs that tests start.

    JAX writes cache entries without a lock. A process that reads a half-written one compiles the program
    itself, with a warning that pyproject.toml ignores.
    """
    folder = os.environ.get("JAX_COMPILATION_CACHE_DIR")
    if not folder:
        base = tmp_path_factory.getbasetemp()
        in_worker = hasattr(request.config, "workerinput")  # whose folder lies in the session's
        folder = str((base.parent if in_worker else base) / "compiled")
    for name, value in (
        ("jax_compilation_cache_dir", folder),
        ("jax_persistent_cache_min_compile_time_secs", 0),
    ):
        jax.config.update(name, value)
        os.environ[name.upper()] = str(value)


@pytest.fixture
def params():
    return {"w": jax.random.normal(jax.random.key(3), (4, 2)), "b": jnp.zeros(2)}


@pytest.fixture(scope="session")
def slices():
    """Three sites and a hold-out; 24 patients of 3 or 4 slices, whose labels brighten a part of the noise."""
    generator = np.random.default_rng(0)
    sites = np.repeat(["a", "b", "c", "holdout"], [8, 6, 4, 6])
    patient = np.repeat([f"p{i:02d}" for i in range(24)], generator.integers(3, 5, 24))
    number = np.array([int(p[1:]) for p in patient])
    labels = generator.integers(0, 2, (len(patient), len(LABELS))).astype(np.uint8)
    hu = generator.normal(0, 60, (len(patient), 8, 8)) + 80 * labels[:, :1, None]
    image = np.array([f"ID_{i:03d}" for i in range(len(patient))])
    return Slices(
        image=image,
        patient=patient,
        study=patient,
        series=patient,
        site=sites[number],
        position=np.zeros(len(patient), np.float32),
        labels=labels,
        thickness=np.full(len(patient), 5, np.float32),
        image_shape=(8, 8),
        source=None,
        pixels=hu.astype(np.int16),
    )
