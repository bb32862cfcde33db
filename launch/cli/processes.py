"""Parallel trainings, one process each, on a share of the cores.

Progress comes from each training's `metrics.jsonl`, messages from its standard error. If a training fails,
or this process receives SIGTERM or Ctrl-C, the others receive SIGTERM, save their round and end. Each child's
standard input is a pipe from this process, so it ends at once if this process is killed, or receives a second
signal; see `preemption.end_with_parent`.
"""

import json
import os
import shlex
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import NamedTuple

import jax

from fl_jax.data.workers import without_interrupts
from fl_jax.experiment import preemption
from fl_jax.experiment.arms import Arm
from fl_jax.experiment.config import Config
from fl_jax.experiment.machine import cores
from fl_jax.experiment.reporter import Reporter
from fl_jax.files.regular import open_read
from fl_jax.workdir import Workdir

POLL = 0.5
"""Seconds between reads of the metrics of running trainings."""


class Training(NamedTuple):
    """A training's arm, command and `metrics.jsonl`."""

    arm: str
    command: Sequence[str]
    metrics: Path


def run(
    trainings: Sequence[Training], jobs: int, environment: Mapping[str, str], reporter: Reporter
) -> None:
    """Runs trainings, `jobs` at a time.

    Args:
        trainings: commands of `launch.train --attached`.
        jobs: number of parallel processes, at least 1.
        environment: of each process.
        reporter: gets the rounds of each arm and every line that a program writes to standard error.

    Raises:
        ValueError: a program failed.
        SystemExit: SIGTERM ended a program, which saved its round, see `preemption`.
        KeyboardInterrupt: Ctrl-C; the programs have saved their rounds.
    """
    running = _Running()
    followers = [Follower(training.arm, training.metrics) for training in trainings]
    with ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(_train, t, environment, running, reporter) for t in trainings]
        try:
            pending: set[Future[None]] = {*futures}
            while pending:
                done, pending = wait(pending, timeout=POLL, return_when="FIRST_COMPLETED")
                for follower in followers:
                    follower.report(reporter)
                reporter.waiting()
                for future in done:
                    future.result()
        except BaseException:
            for future in futures:
                future.cancel()
            running.terminate()
            wait(futures)
            raise


class Follower:
    """Reads the rounds that a training appends to its `metrics.jsonl`."""

    def __init__(self, arm: str, path: Path) -> None:
        self._arm, self._path = arm, path
        self._file, self._place, self._last = 0, 0, 0

    def report(self, reporter: Reporter) -> None:
        """Reports every round that is complete and new.

        A training that resumes replaces the file, so that the rounds before may stand elsewhere in it.
        """
        try:
            with open_read(self._path) as file:
                number = os.fstat(file.fileno()).st_ino
                if number != self._file:
                    self._file, self._place = number, 0
                file.seek(self._place)
                text = file.read()
        except FileNotFoundError:
            return
        whole = text[: text.rfind(b"\n") + 1]
        self._place += len(whole)
        for line in whole.splitlines():
            record = json.loads(line)
            if record["round"] <= self._last:
                continue
            self._last = record["round"]
            reporter.examples_seen(self._arm, record["examples"])
            reporter.round_finished(self._arm, record)


class _Running:
    """The running processes; `terminate` also ends those that start later."""

    def __init__(self) -> None:
        self._processes: list[subprocess.Popen[str]] = []
        self._ending = False
        self._lock = threading.Lock()

    def start(
        self, command: Sequence[str], environment: Mapping[str, str]
    ) -> subprocess.Popen[str]:
        with self._lock, without_interrupts():  # Ctrl-C is for this process, which passes it on
            process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                errors="replace",
            )
            self._processes.append(process)
            if self._ending:
                process.terminate()
            return process

    def terminate(self) -> None:
        with self._lock:
            self._ending = True
            for process in self._processes:
                process.terminate()


def _train(
    training: Training, environment: Mapping[str, str], running: _Running, reporter: Reporter
) -> None:
    last = deque[str](maxlen=5)
    with running.start(training.command, environment) as process:
        assert process.stderr
        for line in process.stderr:
            last.append(line)
            reporter.message(line.rstrip())
    status = process.returncode
    if status == preemption.STATUS:
        raise SystemExit(preemption.STATUS)
    if status:
        how = f"ended with status {status}" if status > 0 else _killed(-status)
        raise ValueError(f"{shlex.join(training.command)} {how}: {''.join(last)}")


def _killed(number: int) -> str:
    """What a signal to a training means."""
    name = signal.Signals(number).name
    if number != signal.SIGKILL:
        return f"ended by {name}"
    return f"was killed by {name}, by a user or because memory ran out; try a smaller --config.jobs"


def train_arms(
    workdir: Workdir,
    arguments: Sequence[str],
    jobs: int,
    reporter: Reporter,
    arms: Sequence[Config],
    plans: Mapping[str, Arm],
) -> None:
    """Trains arms by `launch.train`, `jobs` at a time.

    Args:
        workdir: the experiment's.
        arguments: flags of `launch.experiment`, passed to every training.
        jobs: see `run`.
        reporter: follows all of them.
        arms: the config of each arm.
        plans: the arms by name.

    Raises:
        ValueError: as `run`.
        SystemExit: as `run`.
    """
    program = [
        sys.executable,
        "-m",
        "launch.train",
        *arguments,
        f"--workdir={workdir}",
        "--attached",
    ]
    trainings = []
    for config in arms:
        name = config.arm_name
        reporter.arm_started(name, examples=plans[name].budget, rounds=config.rounds)
        command = [*program, f"--config.arm={config.arm}", f"--config.site={config.site}"]
        trainings.append(Training(name, command, workdir.arm(name).metrics))
    run(trainings, jobs, os.environ, reporter)


def choose(jobs: int, threads: int) -> int:
    """Chooses the number of parallel trainings.

    Args:
        jobs: as in the config; 0 means one on an accelerator, and up to four on CPU, as the cores allow.
        threads: of each training; 0 for all cores, hence one training at a time.
    """
    if jobs:
        return jobs
    return 1 if jax.default_backend() != "cpu" else max(1, min(cores() // (threads or cores()), 4))
