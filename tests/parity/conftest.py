import jax
import pytest


@pytest.fixture
def x64():
    """float64 in JAX, for this test only."""
    with jax.enable_x64(True):
        yield
