"""Fixtures that several test files share."""

import jax
import jax.numpy as jnp
import pytest


@pytest.fixture
def params():
    return {"w": jax.random.normal(jax.random.key(3), (4, 2)), "b": jnp.zeros(2)}
