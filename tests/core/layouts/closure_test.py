"""Arrays that a function closes over become arguments of its program."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fl_jax.core.layouts import closure


def steps(weights):
    weights = jnp.asarray(weights, jnp.float32)
    return closure.jit(lambda state, x, scale: {"sum": state["sum"] + (weights * x).sum() * scale})


def test_it_computes_the_function_at_any_shape():
    step = steps([1.0, 2.0])
    state = step({"sum": jnp.float32(1)}, np.ones(2, np.float32), 2.0)
    assert float(state["sum"]) == 7
    assert float(step(state, np.ones((3, 2), np.float32), 1.0)["sum"]) == 16


def test_functions_that_close_over_other_values_share_a_program(tmp_path):
    from jax.experimental.compilation_cache import compilation_cache

    before = jax.config.jax_compilation_cache_dir
    limit = jax.config.jax_persistent_cache_min_compile_time_secs
    jax.config.update("jax_compilation_cache_dir", str(tmp_path))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    compilation_cache.reset_cache()
    try:
        x = np.ones(2, np.float32)
        assert float(steps([1.0, 2.0])({"sum": jnp.float32(0)}, x, 1.0)["sum"]) == 3
        programs = len([*tmp_path.glob("jit_program-*-cache")])
        assert programs == 1
        assert float(steps([2.0, 3.0])({"sum": jnp.float32(0)}, x, 1.0)["sum"]) == 5
        assert len([*tmp_path.glob("jit_program-*-cache")]) == programs
    finally:
        jax.config.update("jax_compilation_cache_dir", before)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", limit)
        compilation_cache.reset_cache()


def test_the_state_is_donated():
    state = {"sum": jnp.float32(0)}
    steps([1.0])(state, np.ones(1, np.float32), 1.0)
    with pytest.raises(RuntimeError, match="deleted"):
        state["sum"].block_until_ready()
