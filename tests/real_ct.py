"""The folder of real CT that some tests read; it is not part of the repository."""

import os
import pathlib

import pytest

REAL = pathlib.Path(
    os.environ.get("FL_JAX_REAL_CT", pathlib.Path(__file__).parents[2] / "shared" / "data")
)
needs_real = pytest.mark.skipif(
    not REAL.is_dir(), reason=f"no real CT at {REAL}: set FL_JAX_REAL_CT to a folder that has it"
)
