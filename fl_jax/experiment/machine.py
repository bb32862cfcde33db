"""The machine that a program runs on: its cores, its devices, and what it is called."""

import os
import platform
from typing import Any

import jax

from fl_jax.experiment.config import Config


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def split(devices: int) -> None:
    """Has JAX see several CPU devices of one thread each; before it looks for devices, or never.

    What XLA:CPU leaves to YNNPACK still uses all threads, whatever its flags say.

    Two sites on a thread each are faster than one site on two threads, since a small model's operations
    are too short to be shared. Accelerators are left as they are.

    Args:
        devices: how many; 0 or 1 leaves one device with all threads.

    Raises:
        ValueError: when the number is negative.
    """
    if devices < 0:
        raise ValueError(
            f"devices={devices}: must be 0, which leaves the machine as it is, or more"
        )
    if devices > 1:
        own = f"--xla_force_host_platform_device_count={devices} --xla_cpu_multi_thread_eigen=false"
        # What a person set comes after and so decides.
        os.environ["XLA_FLAGS"] = f"{own} {os.environ.get('XLA_FLAGS', '')}".strip()


THREADS = ("NPROC", "PJRT_NPROC", "OMP_NUM_THREADS")
"""Where XLA:CPU and its libraries take their number of threads from; its flags do not reach all of them."""


def use_threads(threads: int) -> None:
    """Has this process and those that it starts compute with so many threads; before JAX's first computation.

    A convolution's gradient on XLA:CPU is summed by thread, so that the last bits of its numbers depend on
    how many there are: with the number fixed they do not depend on the machine's cores.

    Args:
        threads: at least 1; 0 leaves the environment as it is.
    """
    if threads:
        os.environ.update(dict.fromkeys(THREADS, str(threads)))


def use(config: Config) -> None:
    """Prepares this process for `launch.experiment`; before JAX's first computation.

    If arms train in processes of their own, this process leaves accelerators alone.
    """
    use_threads(config.threads)
    if config.jobs > 1:
        jax.config.update("jax_platforms", "cpu")


def describe() -> dict[str, Any]:
    """Processor, devices and versions, for whoever reads the figures later."""
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
    """The processor's name; on Linux the system tells it in a file only."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.split(":", 1)[1].strip() for line in file if "model name" in line]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()
