"""The log of a training: `metrics.jsonl`, one line per round, and a tracker."""

import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fl_jax.experiment.tracking import make_tracker
from fl_jax.files.atomic import write_text
from fl_jax.files.regular import open_read, open_write, read_bytes
from fl_jax.workdir.workdir import LARGEST_LOG

REMEDY = "restore it from a copy, or remove its folder and train again"
TRACKED = ("loss", "val_loss", "val_macro_auroc", "images_per_second")


class Metrics:
    """`metrics.jsonl` and tracked scalars of one training; no round appears twice.

    Each round appends one line in one write, so its cost does not grow with the number of rounds, and readers
    see whole lines. The next round drops a line that a crash cut off.
    """

    def __init__(self, path: Path, *, tracker: str = "none", folder: Path | None = None) -> None:
        """Opens the log, or continues it.

        Args:
            path: the file `metrics.jsonl` in the folder of its arm.
            tracker: see `make_tracker`.
            folder: for the tracker's files; `path`'s folder / `tracker` if None.
        """
        self._path = path
        self._last = max((record["round"] for record in self.records()), default=0)
        self._cut = path.exists() and not read_bytes(path, LARGEST_LOG).endswith(b"\n")
        self._size = self._current_size()
        self._tracker = make_tracker(
            tracker, folder or path.parent / tracker, name=path.parent.name
        )

    def records(self) -> Iterator[dict[str, Any]]:
        """Every round so far, from the file."""
        if not self._path.exists():
            return
        with open_read(self._path, largest=LARGEST_LOG) as file:
            for line in file:
                if line.endswith(b"\n"):
                    yield json.loads(line)

    def record(self, record: dict[str, Any]) -> None:
        """Writes a round; drops later rounds of an interrupted run.

        Raises:
            ValueError: earlier rounds are missing, or another program changed or deleted the file.
            OSError: the disk is full.
        """
        if self._current_size() != self._size:
            raise ValueError(
                f"{self._path}: another program changed it during the training; {REMEDY}"
            )
        if record["round"] > self._last + 1:
            missing = f"rounds {self._last + 1} to {record['round'] - 1}"
            raise ValueError(f"{self._path}: lacks {missing}; {REMEDY}")
        if record["round"] <= self._last or self._cut:
            known = [r for r in self.records() if r["round"] < record["round"]]
            write_text(self._path, "".join(json.dumps(r) + "\n" for r in known))
        with open_write(self._path, "append") as file:
            line = json.dumps(record).encode() + b"\n"
            self._cut = file.write(line) < len(line)  # a full disk writes a part without an error
            self._size = os.fstat(file.fileno()).st_size
            if self._cut:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
            os.fsync(file.fileno())  # before the next checkpoint, so that no round is missing
        self._last = record["round"]
        scalars = {name: record[name] for name in TRACKED if record[name] is not None}
        scalars |= {f"site_loss/{site}": loss for site, loss in record["site_loss"].items()}
        self._tracker.log(record["round"], scalars)

    def _current_size(self) -> int:
        return self._path.stat().st_size if self._path.exists() else 0

    def close(self) -> None:
        """Flushes the tracker."""
        self._tracker.close()
