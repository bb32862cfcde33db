import os
from pathlib import Path

import jax

from fl_jax.experiment import machine


def test_compiled_programs_are_shared_in_a_folder_that_goes_with_the_block(monkeypatch):
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    before = jax.config.jax_compilation_cache_dir
    limit = jax.config.jax_persistent_cache_min_compile_time_secs
    jax.config.update("jax_compilation_cache_dir", None)
    try:
        with machine.share_programs():
            folder = Path(os.environ["JAX_COMPILATION_CACHE_DIR"])
            assert folder.stat().st_mode & 0o077 == 0
            assert jax.config.jax_compilation_cache_dir == str(folder)
        assert not folder.exists()
        assert "JAX_COMPILATION_CACHE_DIR" not in os.environ
        assert jax.config.jax_compilation_cache_dir is None
    finally:
        jax.config.update("jax_compilation_cache_dir", before)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", limit)


def test_a_users_cache_stays(tmp_path):
    before = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", str(tmp_path))
    try:
        with machine.share_programs():
            assert jax.config.jax_compilation_cache_dir == str(tmp_path)
    finally:
        jax.config.update("jax_compilation_cache_dir", before)
