"""Fixtures that several test files share, and four CPU devices for the layout `mesh`."""

import os
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fl_jax.core.types import LABELS
from fl_jax.data.slices import Slices

# Read when jax first looks for devices; what was set before comes after and so decides.
FOUR_DEVICES = "--xla_force_host_platform_device_count=4"
os.environ["XLA_FLAGS"] = f"{FOUR_DEVICES} {os.environ.get('XLA_FLAGS', '')}".strip()

FIRST = ("end_to_end_test", "kill_test", "rsna_study_test", "sweep_test", "digits_runner_test")
"""The longest files, the longest first; begun last, they would keep one worker when all else is done."""


def pytest_collection_modifyitems(items):
    order = {name: number for number, name in enumerate(FIRST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))


@pytest.fixture(scope="session", autouse=True)
def _compiled(tmp_path_factory):
    """Keeps what is compiled for the worker's other tests, and for the programs that they start.

    Each worker has a folder of its own, as jax writes such files without a lock. Where
    JAX_COMPILATION_CACHE_DIR is set, it stays, so that a second run of the tests compiles nothing.
    """
    if os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
        os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
        yield
        return
    folder = tmp_path_factory.mktemp("compiled")
    for name, value in (
        ("jax_compilation_cache_dir", str(folder)),
        ("jax_persistent_cache_min_compile_time_secs", 0),
    ):
        jax.config.update(name, value)
        os.environ[name.upper()] = str(value)
    yield
    shutil.rmtree(folder)


@pytest.fixture
def params():
    return {"w": jax.random.normal(jax.random.key(3), (4, 2)), "b": jnp.zeros(2)}


@pytest.fixture(scope="session")
def slices():
    """Three sites and a hold-out, 24 patients of 3 or 4 slices; a label is a bright quarter."""
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
        held=hu.astype(np.int16),
    )
