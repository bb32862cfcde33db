"""The log of a training: `metrics.jsonl`, and TensorBoard scalars beside it."""

import errno
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from fl_jax.files.atomic import write_text


class Metrics:
    """`metrics.jsonl` and TensorBoard scalars of one training, without a round twice.

    A round is one line, appended in one piece, so that time and memory of a round do not grow with their
    number, and whoever reads along sees whole lines. A line that a crash cut off is dropped by the next one.
    """

    def __init__(self, folder: Path) -> None:
        # By this name TensorBoard knows that it shall write its files itself: for that alone it would import
        # TensorFlow, which takes longer than many a round.
        sys.modules.setdefault("tensorboard.compat.notf", ModuleType("tensorboard.compat.notf"))
        from tensorboard.summary import Writer

        self._path = folder / "metrics.jsonl"
        self._board = Writer(str(folder / "tensorboard"))
        self._last = max((record["round"] for record in self.records()), default=0)
        self._cut = self._path.exists() and self._path.read_bytes()[-1:] != b"\n"

    def records(self) -> Iterator[dict[str, Any]]:
        """Every round so far, from the file."""
        if not self._path.exists():
            return
        with self._path.open(encoding="utf-8") as file:
            for line in file:
                if line.endswith("\n"):
                    yield json.loads(line)

    def record(self, record: dict[str, Any]) -> None:
        """Writes a round; rounds after it, of a run that was cut off, are dropped."""
        if record["round"] <= self._last or self._cut:
            known = [r for r in self.records() if r["round"] < record["round"]]
            write_text(self._path, "".join(json.dumps(r) + "\n" for r in known))
        with self._path.open("ab", buffering=0) as file:
            line = json.dumps(record).encode() + b"\n"
            if file.write(line) < len(line):  # a disk that fills up takes a part and says nothing
                self._cut = True
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
            os.fsync(file.fileno())  # before the next checkpoint, which would leave a gap behind it
        self._last, self._cut = record["round"], False
        for name in ("loss", "val_loss", "val_macro_auroc", "images_per_second"):
            if record[name] is not None:
                self._board.add_scalar(name, record[name], record["round"])
        for site, loss in record["site_loss"].items():
            self._board.add_scalar(f"site_loss/{site}", loss, record["round"])

    def close(self) -> None:
        """Flushes TensorBoard's file."""
        self._board.close()
