"""A long run of a tiny federation as `launch.train` runs one: memory, open files, checkpoints, metrics file.

A checkpoint and a line of `metrics.jsonl` are written after every round, while a thread reads the file: each
line must be whole and the rounds must follow one another. Memory is resident memory without pages of files,
and it is compared after the first tenth of the rounds, in which caches fill up.
"""

import json
import os
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from fl_jax.aggregators.weighted_mean import weighted_mean
from fl_jax.algorithms.fed_avg import fed_avg
from fl_jax.core import layouts
from fl_jax.core.types import LABELS, Batch
from fl_jax.experiment import metrics as metrics_log
from fl_jax.experiment.checkpoint import Store
from fl_jax.faults.fault import build_faults
from fl_jax.faults.simulation import run_faulty_rounds
from fl_jax.faults.transport import with_faults
from fl_jax.tasks.multi_label import multi_label

FEATURES, BATCH = 8, 4


class Case(NamedTuple):
    """A federation: S sites, how many are sampled a round, how many rounds, faults."""

    sites: int
    sampled: int
    rounds: int
    faults: tuple[str, ...] = ()


CASES = {
    "200 sites, 10 a round": Case(200, 10, 20_000),
    "1,000 sites, 10 a round": Case(1000, 10, 2_000),
    "200 sites, 10 a round, faults": Case(
        *(200, 10, 2_000),
        ("not_finite(50, share=0.2)", "stale(100, share=0.2)", "drop_out(200, share=0.1)"),
    ),
}


class Measured(NamedTuple):
    """What a run took; firsts and lasts are medians of the second and of the last tenth of the rounds."""

    rounds: int
    round_ms: float
    save_ms: tuple[float, float]
    held_mib: tuple[float, float]
    files: tuple[int, int]
    reads: int


def measure(case: Case, folder: Path) -> Measured:
    """Runs a federation to its end.

    Raises:
        ValueError: when the metrics file was at any time not what it should be.
    """
    job = multi_label(nn.Dense(len(LABELS)), jnp.zeros((1, FEATURES)))
    algorithm = fed_avg(job.loss, optax.adam(1e-3), keep_optimizer=True)
    faults = build_faults(case.faults, case.sites)
    aggregator = with_faults(weighted_mean(), faults)
    key = jax.random.key(0)
    state = layouts.init(algorithm, aggregator, job.init(key), case.sites, key)
    store, log = Store(folder / "checkpoints"), metrics_log.Metrics(folder / "metrics.jsonl")
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(case.sites, BATCH, FEATURES)).astype(np.float32)
    labels = (inputs[..., : len(LABELS)] > 0).astype(np.float32)
    mask = np.ones(BATCH, np.float32)

    def present(round: int) -> np.ndarray:
        chosen = np.zeros(case.sites, bool)
        drawn = np.random.default_rng((1, round))
        chosen[drawn.choice(case.sites, case.sampled, replace=False)] = True
        return chosen

    reader = Reader(folder / "metrics.jsonl")
    seconds, saves, memory, files = [], [], [], []
    began = time.perf_counter()
    for after, metrics in run_faulty_rounds(
        layouts.sequential(algorithm, aggregator, steps_per_call=8),
        state,
        until=case.rounds,
        batches=lambda round, site: [Batch(inputs[site], labels[site], mask)] * 2,
        participants=present,
        faults=faults,
        steps=lambda round, site: 2,
        min_sites=1,
    ):
        seconds.append(time.perf_counter() - began)
        began = time.perf_counter()
        store.save(int(after.round), after, {"round": int(after.round)})
        saves.append(time.perf_counter() - began)
        log.record(_record(int(after.round), metrics))
        memory.append(held_mib())
        files.append(len(os.listdir("/proc/self/fd")))
        began = time.perf_counter()
    log.close()
    reads = reader.stop()
    tenth = max(1, case.rounds // 10)
    ends = slice(tenth, 2 * tenth), slice(-tenth, None)
    return Measured(
        rounds=case.rounds,
        round_ms=1e3 * float(np.median(seconds)),
        save_ms=_each(saves, ends, 1e3),
        held_mib=_each(memory, ends, 1),
        files=(
            int(np.median(files[ends[0]])),
            int(np.median(files[ends[1]])),
        ),  # the reader's comes and goes
        reads=reads,
    )


class Reader:
    """Reads on in a metrics file in a thread of its own, as somebody who follows a run does."""

    def __init__(self, path: Path) -> None:
        self._path, self._stop = path, threading.Event()
        self._reads, self._fault, self._place, self._last = 0, "", 0, 0
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def stop(self) -> int:
        """Ends the thread and returns how often it has looked into the file.

        Raises:
            ValueError: when a line was not whole, or a round was missing or twice.
        """
        self._stop.set()
        self._thread.join()
        if self._fault:
            raise ValueError(f"{self._path}: {self._fault}")
        return self._reads

    def _read(self) -> None:
        while not self._stop.wait(0.05) and not self._fault:
            if not self._path.exists():
                continue
            with self._path.open("rb") as file:
                file.seek(self._place)
                text = file.read()
            self._reads += 1
            self._place += len(text)
            if not text.endswith(b"\n"):
                self._fault = f"the last line is not whole: {text[-80:]!r}" if text else ""
                continue
            try:
                numbers = [json.loads(line)["round"] for line in text.splitlines()]
            except ValueError as error:
                self._fault = f"a line is not whole: {error}"
                continue
            if numbers != list(range(self._last + 1, self._last + 1 + len(numbers))):
                self._fault = f"after round {self._last}, rounds {numbers}"
            self._last = numbers[-1]


def held_mib() -> float:
    """The memory that this process holds, MiB, without pages of files."""
    with open("/proc/self/statm") as file:
        _, resident, of_files, *_ = map(int, file.read().split())
    return (resident - of_files) * os.sysconf("SC_PAGE_SIZE") / 2**20


def _each(values: list[float], ends: tuple[slice, slice], scale: float) -> tuple[float, float]:
    first, last = (scale * float(np.median(values[end])) for end in ends)
    return first, last


def _record(number: int, metrics: dict[str, Any]) -> dict[str, Any]:
    """A round's line, with the fields that `metrics_log.Metrics` shows."""
    taken = np.flatnonzero(metrics["accepted"])
    loss = np.asarray(metrics["loss"])
    return {
        "round": number,
        "loss": float(np.mean(loss[taken])) if taken.size else None,
        "val_loss": None,
        "val_macro_auroc": None,
        "images_per_second": None,
        "participants": np.flatnonzero(metrics["participating"]).tolist(),
        "left_out": np.flatnonzero(metrics["participating"] & ~metrics["accepted"]).tolist(),
        "site_loss": {str(site): float(loss[site]) for site in taken},
    }
