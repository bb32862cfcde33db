"""`manifest.json`: an experiment's config, command, versions, machine and times."""

import datetime
import importlib.metadata
import os
import platform
import resource
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from fl_jax.experiment.config import Config
from fl_jax.experiment.data import data_dir
from fl_jax.workdir import Workdir
from fl_jax.workdir.schema import Manifest

PACKAGES = (
    *("fl_jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "scipy"),
    *("scikit-learn", "tensorflow-datasets", "pydicom", "opencv-python-headless"),
)


class ManifestWriter:
    """Keeps an experiment's `manifest.json` up to date."""

    def __init__(self, workdir: Workdir, config: Config, command: str) -> None:
        self._workdir, self._config, self._command = workdir, config, command
        self.spent: dict[str, tuple[float, float]] = {}
        """Wall and CPU seconds of this run's stages."""
        existing = workdir.read_manifest()
        self.manifest = existing or Manifest()
        if existing is None:
            self.describe(training=True)

    def describe(self, *, training: bool) -> None:
        """Records the config and, before a training, command, versions and machine."""
        config = self._config.to_dict()
        data = data_dir(self._config, self._workdir)
        if data != self._workdir.data:  # absolute, so that a report finds it from any folder
            config["data_dir"] = str(data.absolute())
        if self._config.survey:
            config["survey"] = str(Path(self._config.survey).expanduser().absolute())
        changes: dict[str, Any] = {"config": config}
        if training:
            changes |= {
                "command": self._command,
                "seed": self._config.seed,
                "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
                "versions": _versions(),
                "git": _git(),
                "machine": f"{platform.machine()}, {os.cpu_count()} cores",
            }
        self._write(**changes)

    def stage(self, name: str, work: Callable[[], bool]) -> None:
        """Runs a stage and adds its wall and CPU time to those of earlier runs.

        Args:
            name: the stage's.
            work: runs it; returns False if there was nothing to do.
        """
        worked = True
        start_wall, start_cpu = time.monotonic(), cpu_seconds()
        try:
            worked = work()
        finally:
            stages, cpu = dict(self.manifest.stages), dict(self.manifest.cpu_seconds)
            if worked:
                wall, used = time.monotonic() - start_wall, cpu_seconds() - start_cpu
                stages[name] = round((stages.get(name) or 0.0) + wall, 1)
                cpu[name] = round((cpu.get(name) or 0.0) + used, 1)
                self.spent[name] = wall, used
            self._write(stages=stages, cpu_seconds=cpu)

    def summary(self, since: float) -> str:
        """What this run's CPU time went to, since a value of `time.monotonic`; the rest is the report's."""
        rest = time.monotonic() - since, cpu_seconds()
        for wall, used in self.spent.values():
            rest = rest[0] - wall, rest[1] - used
        parts = {**self.spent, "start and report": rest}
        each = (f"{name} {used:.0f} ({wall:.0f} s)" for name, (wall, used) in parts.items())
        return f"CPU-seconds (wall time): {', '.join(each)}; {cpu_seconds():.0f} in all"

    def _write(self, **changes: Any) -> None:
        for arm in self._workdir.arms():
            done = arm.read_done()
            if done:
                changes["device"] = done.device
        self.manifest = msgspec.structs.replace(self.manifest, **changes)
        self._workdir.write_manifest(self.manifest)


def cpu_seconds() -> float:
    """CPU time of this process and of its children that have ended."""
    each = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in each)


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return versions


def _git() -> str:
    """The commit, with `-dirty` after local changes; empty outside a git repository."""
    root = str(Path(__file__).parents[2])
    command = ["git", "-C", root, "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()
    except FileNotFoundError:
        return ""
