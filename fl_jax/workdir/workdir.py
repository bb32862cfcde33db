"""`Workdir`: every path below an experiment's folder, with its locks, readers and writers."""

import contextlib
import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal, Self

import msgspec

from fl_jax.data.metadata import read_summary
from fl_jax.evaluation import predictions
from fl_jax.evaluation.predictions import Predictions
from fl_jax.files import folders, locks
from fl_jax.files.atomic import delete, write_json
from fl_jax.files.jsonable import jsonable
from fl_jax.files.regular import read_bytes
from fl_jax.files.structs import parse, read_struct
from fl_jax.workdir.schema import (
    Done,
    Inputs,
    Manifest,
    RoundRecord,
    Saliency,
    TissueTable,
    TrainingDomain,
)

PERSONAL = "personal"
"""Name of the predictions of the sites' personal models."""
AGAIN = "train this arm again"
LARGEST_LOG = 2**29
"""Bytes of `metrics.jsonl` that are read: a million rounds of five sites."""


class Workdir:
    """The folder of one experiment.

    Readers return None for a file that does not exist and raise ValueError, with file, place, value and
    remedy, for one that does not hold what it should. Writers replace a file as a whole.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root).expanduser()
        self.manifest = self.root / "manifest.json"
        self.cohort = self.root / "cohort"
        self.data = self.root / "data"
        """The dataset, unless the config names another; see `find_data`."""
        self.features = self.root / "features"
        self.partition = self.root / "partition.csv"
        self.partition_record = self.root / "partition.json"
        """What the partition was made from."""
        self.partition_picture = self.root / "partition.png"
        self.results = self.root / "results.json"
        self.cross_site = self.root / "cross_site.json"
        self.report = self.root / "report.html"
        self.figures = self.root / "figures"
        self.tables = self.root / "tables"
        self.model_card = self.root / "model_card.md"
        self.checklist = self.root / "reporting_checklist.md"
        self.saliency = self.root / "saliency.json"
        self.tissue = self.root / "tissue.json"

    def __repr__(self) -> str:
        return f"Workdir({str(self.root)!r})"

    def __str__(self) -> str:
        return str(self.root)

    def __fspath__(self) -> str:
        return str(self.root)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Workdir) and self.root == other.root

    def __hash__(self) -> int:
        return hash(self.root)

    def claim(self) -> None:
        """Creates the folder and marks it as a workdir, or checks its mark; see `folders.claim`."""
        folders.claim(self.root, "workdir", flag="--workdir")

    def lock(self, name: str, *, wait: bool = False) -> AbstractContextManager[locks.Lock]:
        """Claims the workdir and locks a part of it against other processes; see `locks.lock`."""
        locks.check_name(name)
        self.claim()
        return locks.lock(self.root, name, flag="--workdir", wait=wait)

    def arm(self, name: str) -> "ArmFolder":
        """The folder of an arm: `federated`, `central` or `local_<site>`; it need not exist."""
        locks.check_name(name)
        return ArmFolder(self.root / "models" / name)

    def arms(self) -> list["ArmFolder"]:
        """The arms whose training has begun, by name."""
        begun = sorted((self.root / "models").glob("*/inputs.json"))
        return [ArmFolder(path.parent) for path in begun]

    def arms_with_checkpoints(self) -> list["ArmFolder"]:
        """The arms that have a folder of checkpoints, by name."""
        saved = sorted((self.root / "models").glob("*/checkpoints"))
        return [ArmFolder(path.parent) for path in saved]

    def is_complete(self, arm: str) -> bool:
        """Whether an arm is trained and all of its predictions are there."""
        done = self.arm(arm).read_done()
        return (
            done is not None
            and bool(done.predictions)
            and all(self.predictions(name).exists() for name in done.predictions)
        )

    def predictions(self, model: str) -> Path:
        """The CSV of a model's predictions by slice: of an arm, or `PERSONAL`."""
        locks.check_name(model)
        return self.root / "predictions" / f"{model}.csv"

    def study_predictions(self, arm: str) -> Path:
        """The CSV of an arm's predictions by DICOM study."""
        locks.check_name(arm)
        return self.root / "predictions" / "studies" / f"{arm}.csv"

    def predicted(self) -> list[str]:
        """The models with predictions: federated, central, local_<site> by site, then others."""
        names = [path.stem for path in (self.root / "predictions").glob("*.csv")]
        return sorted(names, key=_order)

    def read_predictions(self, model: str) -> Predictions | None:
        """Reads a model's predictions by slice."""
        path = self.predictions(model)
        return predictions.read(path) if path.exists() else None

    def write_predictions(self, model: str, data: Predictions) -> None:
        """Writes a model's predictions by slice."""
        path = self.predictions(model)
        folders.make(path.parent)
        predictions.write(path, data)

    def write_study_predictions(self, arm: str, data: Predictions) -> None:
        """Writes an arm's predictions by DICOM study."""
        path = self.study_predictions(arm)
        folders.make(path.parent)
        predictions.write(path, data)

    def read_manifest(self) -> Manifest | None:
        """Reads `manifest.json`."""
        return read_struct(self.manifest, Manifest)

    def write_manifest(self, manifest: Manifest) -> None:
        """Writes `manifest.json`."""
        write_json(self.manifest, msgspec.to_builtins(manifest))

    def read_saliency(self) -> Saliency | None:
        """Reads `saliency.json`."""
        return read_struct(self.saliency, Saliency)

    def write_saliency(self, saliency: Saliency) -> None:
        """Writes `saliency.json`, with null for NaN."""
        write_json(self.saliency, jsonable(saliency))

    def read_tissue(self) -> TissueTable | None:
        """Reads `tissue.json`."""
        return read_struct(self.tissue, TissueTable, remedy="delete it: it is measured again")

    def write_tissue(self, table: TissueTable) -> None:
        """Writes `tissue.json`."""
        write_json(self.tissue, msgspec.to_builtins(table))

    def saliency_panel(self, subtype: str) -> Path:
        """The picture of a subtype's saliency maps."""
        locks.check_name(subtype)
        return self.root / "saliency" / f"{subtype}.png"

    def find_data(self) -> Path:
        """The dataset's folder, which may be absent.

        It is the one that the manifest names, or `data/`. A head's dataset is that of the experiment from
        which its backbone is.
        """
        workdir, seen = self, []
        while workdir not in seen:
            seen.append(workdir)
            manifest = workdir.read_manifest()
            if manifest is not None or workdir.data.exists():
                named = (manifest or Manifest()).config.get("data_dir")
                return Path(named) if named else workdir.data
            begun = workdir.arms()
            inputs = read_struct(begun[0].inputs, Inputs, remedy=AGAIN) if begun else None
            workdir = Workdir(inputs.backbone) if inputs and inputs.backbone else workdir
        return self.data

    def own_data(self) -> Path:
        """`find_data`, which has the dataset of an arm's training or none.

        Raises:
            ValueError: it has another dataset, such as one of the reader's in a folder that a workdir from
                elsewhere names; images of the same names would be taken for the experiment's.
        """
        folder = self.find_data()
        summary = read_summary(folder)
        read = [read_struct(arm.inputs, Inputs, remedy=AGAIN) for arm in self.arms()]
        known = [inputs.dataset for inputs in read if inputs]
        if summary is None or (summary["digest"], summary["options"]) in known:
            return folder
        if folder == self.data and not known:
            return folder
        raise ValueError(
            f"{folder} is not the dataset that {self} was trained on, by models/*/inputs.json: put that "
            f"dataset there, or, to go on without it, move this one or take data_dir out of {self.manifest}"
        )

    def evaluation(self, name: str) -> "EvaluationFolder":
        """The folder of an evaluation by `launch.evaluate`; it need not exist."""
        locks.check_name(name)
        return EvaluationFolder(self.root / "evaluations" / name)


class ArmFolder:
    """What one arm's training leaves."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = folder.name
        self.inputs = folder / "inputs.json"
        self.metrics = folder / "metrics.jsonl"
        self.done = folder / "done.json"
        self.domain = folder / "domain.json"
        self.tensorboard = folder / "tensorboard"
        self.checkpoints = folder / "checkpoints"

    def __str__(self) -> str:
        return str(self.folder)

    def read_done(self) -> Done | None:
        """Reads `done.json`."""
        return read_struct(self.done, Done, remedy=AGAIN)

    def write_done(self, done: Done) -> None:
        """Writes `done.json`."""
        write_json(self.done, msgspec.to_builtins(done))

    def read_domain(self) -> TrainingDomain | None:
        """Reads `domain.json`."""
        return read_struct(self.domain, TrainingDomain, remedy="remove it; it is measured again")

    def write_domain(self, domain: TrainingDomain) -> None:
        """Writes `domain.json`."""
        write_json(self.domain, msgspec.to_builtins(domain))

    def read_metrics(self) -> list[RoundRecord]:
        """Reads `metrics.jsonl`, one record a round; none if there is no such file."""
        if not self.metrics.exists():
            return []
        lines = read_bytes(self.metrics, LARGEST_LOG).splitlines()
        return [
            parse(f"{self.metrics}, line {number}", line, RoundRecord, remedy=AGAIN)
            for number, line in enumerate(lines, start=1)
        ]


class _OutFolder:
    """A folder of results, which one process writes at a time: in a `with` block, after `begin`."""

    def __init__(self, folder: Path, kind: Literal["evaluation", "seeds"], names: str) -> None:
        self.folder = folder
        self._kind: Literal["evaluation", "seeds"] = kind
        self.files = [folder / name for name in names.split()]
        """What is written into the folder itself."""
        self._lock = contextlib.ExitStack()
        self._begun = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._lock.close()

    def begin(self) -> None:
        """Claims the folder, see `folders.claim`, locks it, and deletes what an earlier call left in it.

        Results of two calls are thus never mixed, even if one is interrupted. Calling it again does nothing.

        Raises:
            ValueError: the folder is not ours, or another process is writing to it.
            OSError: the folder cannot be written.
        """
        if self._begun:
            return
        folders.claim(self.folder, self._kind, flag="--out")
        self._lock.enter_context(locks.lock(self.folder, self._kind, flag="--out"))
        self._begun = True
        for path in self.files:
            delete(path)


class EvaluationFolder(_OutFolder):
    """What `launch.evaluate` writes into a folder, below a workdir or anywhere else."""

    def __init__(self, folder: Path) -> None:
        names = (
            "evaluation.json evaluation.csv evaluation.html judged.csv predictions.csv predictions.html "
            "patients.csv"
        )
        super().__init__(folder, "evaluation", names)
        self.results, self.table, self.page = self.files[:3]
        self.judged, self.predictions, self.predictions_page, self.patients = self.files[3:]
        self.data = folder / "data"


class SeedsFolder(_OutFolder):
    """What `launch.report` writes for several runs that differ in their seed."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "seeds", "seeds.json seeds.csv seeds.md seeds.html")
        self.results, self.table, self.markdown, self.page = self.files


def _order(model: str) -> tuple[int, str]:
    known = ("federated", "central")
    return (known.index(model) if model in known else 2 + (not model.startswith("local_")), model)
