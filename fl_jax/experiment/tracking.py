"""Trackers of a training's scalars: TensorBoard by default, MLflow or W&B.

All trackers write to a folder on this machine and send nothing over the network unless the user asks for it:
MLflow follows MLFLOW_TRACKING_URI, W&B follows WANDB_MODE, which is `offline` here unless it is set.
"""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from fl_jax.files.extras import extra
from fl_jax.files.folders import check_tree, make

TRACKERS = ("tensorboard", "mlflow", "wandb", "none")
EXTRAS = ("mlflow", "wandb")
"""Trackers whose package and extra have their name."""


class Tracker(Protocol):
    """Takes the scalars of each round."""

    def log(self, step: int, scalars: Mapping[str, float]) -> None:
        """Logs scalars by name at a step, the number of a round from 1."""
        ...

    def close(self) -> None:
        """Flushes what is buffered."""
        ...


def make_tracker(kind: str, folder: Path, *, name: str) -> Tracker:
    """Makes a tracker, which continues the run that an earlier process logged to the same folder.

    Args:
        kind: one of `TRACKERS`.
        folder: for the tracker's files; created if missing.
        name: of the run, such as `federated`.

    Raises:
        ValueError: for an unknown kind.
        ModuleNotFoundError: the tracker's package is not installed; names the extra.
    """
    if kind not in TRACKERS:
        raise ValueError(f"tracker={kind!r}: must be one of {', '.join(TRACKERS)}")
    if kind == "none":
        return Silent()
    check_tree(folder)
    make(folder)
    if kind == "tensorboard":
        return TensorBoard(folder)
    return MLflow(folder, name) if kind == "mlflow" else WeightsAndBiases(folder, name)


class Silent:
    """Logs nothing."""

    def log(self, step: int, scalars: Mapping[str, float]) -> None:
        """Does nothing."""

    def close(self) -> None:
        """Does nothing."""


class TensorBoard:
    """TensorBoard's event files, written by tensorboardX."""

    def __init__(self, folder: Path) -> None:
        with extra("ct"):
            from tensorboardX import SummaryWriter
        self._make, self._folder, self._writer = SummaryWriter, folder, None

    def log(self, step: int, scalars: Mapping[str, float]) -> None:
        """See `Tracker`. A resumed run hides what an earlier process logged from its first step on."""
        if self._writer is None:
            # Event files are named by the second, so a quick resume would overwrite the first file.
            suffix, purge = f".{os.getpid()}.{step}", step if step > 1 else None
            self._writer = self._make(str(self._folder), purge_step=purge, filename_suffix=suffix)
        for name, value in scalars.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """See `Tracker`."""
        if self._writer is not None:
            self._writer.close()


class MLflow:
    """An MLflow run, in a file store in `folder` unless MLFLOW_TRACKING_URI names a server."""

    def __init__(self, folder: Path, name: str) -> None:
        with extra("mlflow"):
            import mlflow
        uri = os.environ.get("MLFLOW_TRACKING_URI", "")
        if not uri:
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # MLflow 3 asks for consent
            uri = folder.absolute().as_uri()
        self._client = mlflow.MlflowClient(tracking_uri=uri)
        experiment = self._client.get_experiment_by_name("fl_jax")
        number = (
            experiment.experiment_id if experiment else self._client.create_experiment("fl_jax")
        )
        run = _identity(folder)
        earlier = self._client.search_runs([number], f"tags.fl_jax_run = '{run}'")
        if earlier:
            self._run = earlier[0].info.run_id
        else:
            created = self._client.create_run(number, tags={"fl_jax_run": run}, run_name=name)
            self._run = created.info.run_id

    def log(self, step: int, scalars: Mapping[str, float]) -> None:
        """See `Tracker`."""
        for name, value in scalars.items():
            self._client.log_metric(self._run, name, value, step=step)

    def close(self) -> None:
        """See `Tracker`."""
        self._client.set_terminated(self._run)


class WeightsAndBiases:
    """A W&B run, offline in `folder` unless WANDB_MODE says otherwise."""

    def __init__(self, folder: Path, name: str) -> None:
        with extra("wandb"):
            import wandb
        os.environ.setdefault("WANDB_MODE", "offline")
        self._run = wandb.init(
            project="fl_jax",
            name=name,
            id=_identity(folder),
            dir=str(folder),
            resume="allow",
            settings=wandb.Settings(silent=True),
        )

    def log(self, step: int, scalars: Mapping[str, float]) -> None:
        """See `Tracker`."""
        self._run.log(dict(scalars), step=step)

    def close(self) -> None:
        """See `Tracker`."""
        self._run.finish()


def _identity(folder: Path) -> str:
    """A digest of the folder, by which a resumed training finds its run."""
    return hashlib.sha256(str(folder.absolute()).encode()).hexdigest()[:16]
