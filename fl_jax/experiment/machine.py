"""Cores, devices and threads of this machine."""

import contextlib
import os
import platform
import tempfile
from collections.abc import Iterator
from typing import Any

import jax

from fl_jax.experiment.config import Config
from fl_jax.files.regular import read_text


def cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def split(devices: int) -> None:
    """Splits the CPU into devices of one thread each; call it before JAX initialises its devices.

    Two sites on one thread each are faster than one site on two threads, since a small model's operations
    are too short to parallelise. YNNPACK still uses all threads. Accelerators are not affected.

    Args:
        devices: how many; 0 or 1 leaves one device with all threads.

    Raises:
        ValueError: when the number is negative.
    """
    if devices < 0:
        raise ValueError(f"devices={devices}: must be at least 0; 0 changes nothing")
    if devices > 1:
        flags = (
            f"--xla_force_host_platform_device_count={devices} --xla_cpu_multi_thread_eigen=false"
        )
        # The user's flags come last and win.
        os.environ["XLA_FLAGS"] = f"{flags} {os.environ.get('XLA_FLAGS', '')}".strip()


THREADS = ("NPROC", "PJRT_NPROC", "OMP_NUM_THREADS")
"""Environment variables from which XLA:CPU and its libraries read their number of threads."""


def use_threads(threads: int) -> None:
    """Sets the number of threads of this process and its children; call it before JAX's first computation.

    XLA:CPU sums a convolution's gradient by thread, so their number decides the last bits. With a fixed
    number these do not depend on the machine's cores.

    Args:
        threads: at least 1; 0 leaves the environment as it is.
    """
    if threads:
        os.environ.update(dict.fromkeys(THREADS, str(threads)))


def use(config: Config) -> None:
    """Prepares the process of `launch.experiment`; call it before JAX's first computation.

    If arms train in child processes, this process does not use accelerators.
    """
    use_threads(config.threads)
    if config.jobs > 1:
        jax.config.update("jax_platforms", "cpu")


@contextlib.contextmanager
def share_programs() -> Iterator[None]:
    """Within the block, this process and its children compile a program once, before JAX's first computation.

    Compiled programs are in a temporary folder, never in a workdir: whoever can write them chooses what runs.
    A cache that the user has set stays.
    """
    if jax.config.values["jax_compilation_cache_dir"]:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="fl_jax_") as folder:
        settings = {
            "jax_compilation_cache_dir": folder,
            "jax_persistent_cache_min_compile_time_secs": 0.0,
        }
        for name, value in settings.items():
            jax.config.update(name, value)
            os.environ[name.upper()] = str(value)  # for children
        try:
            yield
        finally:
            for name in settings:
                del os.environ[name.upper()]
            jax.config.update("jax_compilation_cache_dir", None)


def describe() -> dict[str, Any]:
    """Processor, devices and versions, to record with measurements."""
    import flax
    import numpy as np
    import optax

    return {
        "processor": _processor(),
        "cores": cores(),
        "load": os.getloadavg()[0],
        "devices": [f"{d.platform} {d.device_kind}" for d in jax.devices()],
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "versions": {
            "python": platform.python_version(),
            "jax": jax.__version__,
            "flax": flax.__version__,
            "optax": optax.__version__,
            "numpy": np.__version__,
        },
    }


def _processor() -> str:
    """The processor's name, on Linux from /proc/cpuinfo."""
    try:
        lines = read_text("/proc/cpuinfo").splitlines()
        names = [line.split(":", 1)[1].strip() for line in lines if "model name" in line]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()
