"""Accelerators that programs are compiled for without having one."""

import importlib.util
import os
from typing import Any, NamedTuple

import jax
from jax.experimental import topologies

_H100 = """
gpu_device_info {
  threads_per_block_limit: 1024
  threads_per_warp: 32
  shared_memory_per_block: 49152
  shared_memory_per_core: 233472
  threads_per_core_limit: 2048
  core_count: 132
  fpus_per_core: 128
  block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
  memory_bandwidth: 3352320000000
  l2_cache_size: 52428800
  clock_rate_ghz: 1.98
  device_memory_size: 84978434048
  shared_memory_per_block_optin: 232448
  cuda_compute_capability { major: 9 }
  registers_per_core_limit: 65536
  registers_per_block_limit: 65536
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 8 }
device_description_str: "NVIDIA H100 80GB HBM3"
"""


class Target(NamedTuple):
    """A device to compile for.

    Attributes:
        name: in tables.
        platform: as JAX lowers for it.
        extra: of `pyproject.toml`; installs the compiler.
        module: the compiler's.
        topology: arguments of `jax.experimental.topologies.get_topology_desc`.
        options: the compiler's.
        operations: peak floating-point operations a second in bfloat16.
        bandwidth: of its memory, bytes a second.
        memory: bytes.
    """

    name: str
    platform: str
    extra: str
    module: str
    topology: dict[str, str]
    options: dict[str, Any]
    operations: float
    bandwidth: float
    memory: int

    def missing(self) -> str:
        """What to install, a sentence; empty if the compiler is there."""
        if importlib.util.find_spec(self.module):
            return ""
        return f"{self.name}: skipped, no compiler: pip install 'fl_jax[{self.extra}]'"

    def device(self) -> Any:
        """The device, for the shardings of arguments; call it before JAX initialises its devices."""
        # Without it, libtpu asks the cloud which TPU this is.
        os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
        jax.config.update("jax_platforms", "cpu")
        return topologies.get_topology_desc(platform=self.platform, **self.topology).devices[0]


TARGETS = (
    Target(
        name="TPU v5e",
        platform="tpu",
        extra="tpu",
        module="libtpu",
        topology={"topology_name": "v5e:2x2"},
        options={},
        operations=197e12,
        bandwidth=819e9,
        memory=16 * 2**30,
    ),
    Target(
        name="H100",
        platform="cuda",
        extra="cuda",
        module="jax_cuda13_plugin",
        topology={"topology_name": "h100", "target_config": _H100, "topology": "1x1x1"},
        options={"xla_gpu_autotune_level": 0},  # autotuning runs kernels
        operations=989e12,
        bandwidth=3352e9,
        memory=84_978_434_048,
    ),
)
