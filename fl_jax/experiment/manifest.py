"""`manifest.json`: an experiment's config, command, versions, machine and times."""

import datetime
import importlib.metadata
import os
import platform
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
        """Runs a stage and adds its time to that of earlier runs.

        Args:
            name: the stage's.
            work: runs it; returns False if there was nothing to do.
        """
        start_time, worked = time.monotonic(), True
        try:
            worked = work()
        finally:
            stages = dict(self.manifest.stages)
            if worked:
                stages[name] = round((stages.get(name) or 0.0) + time.monotonic() - start_time, 1)
            self._write(stages=stages)

    def _write(self, **changes: Any) -> None:
        for arm in self._workdir.arms():
            done = arm.read_done()
            if done:
                changes["device"] = done.device
        self.manifest = msgspec.structs.replace(self.manifest, **changes)
        self._workdir.write_manifest(self.manifest)


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
