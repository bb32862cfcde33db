"""Parallel trainings in worker processes, each on a share of the cores.

A worker trains one arm after the other and so imports and compiles once. It reads an arm as a line of its
standard input, and repeats the line on standard output when the arm is complete; an empty line ends it.
The first worker has a head start of one round: the others then read its programs from the shared cache, see
`machine.share_programs`, in place of compiling the same. Progress comes from each training's
`metrics.jsonl`, messages from a worker's standard error.

If a worker fails, or this process receives SIGTERM or Ctrl-C, the others receive SIGTERM, save their round
and end. A worker ends at once when its standard input closes because this process was killed or received a
second signal; see `preemption.end_with_parent`.
"""

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

import jax

from fl_jax.data.workers import without_interrupts
from fl_jax.experiment import preemption
from fl_jax.experiment.arms import Arm
from fl_jax.experiment.config import Config
from fl_jax.experiment.data import Loader
from fl_jax.experiment.machine import cores
from fl_jax.experiment.reporter import Reporter
from fl_jax.experiment.train import train_arm
from fl_jax.files.regular import open_read
from fl_jax.workdir import Workdir
from launch.cli import progress

POLL = 0.5
"""Seconds between reads of the metrics of running trainings."""
HEAD_START = 60.0
"""The most seconds that the other workers wait for the first one's first round, which may be long."""


class Training(NamedTuple):
    """A training: its arm, the line that orders it, examples and rounds, and its `metrics.jsonl`."""

    arm: str
    order: str
    examples: int
    rounds: int
    metrics: Path


def run(
    command: Sequence[str],
    trainings: Sequence[Training],
    jobs: int,
    environment: Mapping[str, str],
    reporter: Reporter,
    finished: Callable[[str], None] = lambda arm: None,
) -> None:
    """Runs trainings in `jobs` workers, which take them in order.

    Args:
        command: of a worker: `launch.train --attached`.
        trainings: what to train.
        jobs: number of workers, at least 1.
        environment: of each worker.
        reporter: gets the rounds of each arm and every line that a worker writes to standard error.
        finished: called with each arm that is complete, in the main thread.

    Raises:
        ValueError: a worker failed.
        SystemExit: SIGTERM ended a worker, which saved its round, see `preemption`.
        KeyboardInterrupt: Ctrl-C; the workers have saved their rounds.
    """
    work = _Work(command, environment, deque(trainings), reporter)
    followers = [Follower(training.arm, training.metrics) for training in trainings]
    with ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(work.run_worker, number) for number in range(jobs)[: len(trainings)]]
        try:
            pending: set[Future[None]] = {*futures}
            while pending:
                done, pending = wait(pending, timeout=POLL, return_when="FIRST_COMPLETED")
                for follower in followers:
                    if follower.report(reporter):
                        work.compiled.set()
                reporter.waiting()
                for future in done:
                    future.result()
                while not work.finished.empty():
                    finished(work.finished.get())
        except BaseException:
            work.terminate()
            wait(futures)
            raise


class Follower:
    """Reads the rounds that a training appends to its `metrics.jsonl`."""

    def __init__(self, arm: str, path: Path) -> None:
        self._arm, self._path = arm, path
        self._file, self._place, self._last = 0, 0, 0

    def report(self, reporter: Reporter) -> bool:
        """Reports every round that is complete and new; returns whether there was one.

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
            return False
        whole = text[: text.rfind(b"\n") + 1]
        self._place += len(whole)
        before = self._last
        for line in whole.splitlines():
            record = json.loads(line)
            if record["round"] <= self._last:
                continue
            self._last = record["round"]
            reporter.examples_seen(self._arm, record["examples"])
            reporter.round_finished(self._arm, record)
        return self._last > before


class _Work:
    """The trainings that no worker has begun, and the running workers."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        waiting: deque[Training],
        reporter: Reporter,
    ) -> None:
        self.finished: SimpleQueue[str] = SimpleQueue()
        """The arms that are complete."""
        self.compiled = threading.Event()
        """Set when the other workers need not wait for the first one any more."""
        self._command, self._environment = command, environment
        self._waiting, self._reporter = waiting, reporter
        self._processes: list[subprocess.Popen[str]] = []
        self._ending = False
        self._lock = threading.Lock()

    def run_worker(self, number: int) -> None:
        """Runs worker `number` from 0 until nothing waits; raises as `run`."""
        last = deque[str](maxlen=5)
        with self._start() as process:
            assert process.stdin
            assert process.stderr
            orders = threading.Thread(target=self._give_orders, args=(process, number))
            orders.start()
            for line in process.stderr:
                last.append(line)
                self._reporter.message(line.rstrip())
            self.compiled.set()  # it has ended: nobody waits for it
            orders.join()
        status = process.returncode
        if status == preemption.STATUS:
            raise SystemExit(preemption.STATUS)
        if status:
            how = f"ended with status {status}" if status > 0 else _killed(-status)
            raise ValueError(f"{shlex.join(self._command)} {how}: {''.join(last)}")

    def terminate(self) -> None:
        """Ends the workers, also those that start later, after their round."""
        self.compiled.set()
        with self._lock:
            self._ending = True
            for process in self._processes:
                process.terminate()

    def _start(self) -> subprocess.Popen[str]:
        with self._lock, without_interrupts():  # Ctrl-C is for this process, which passes it on
            process = subprocess.Popen(
                self._command,
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                errors="replace",
            )
            self._processes.append(process)
            if self._ending:
                process.terminate()
            return process

    def _give_orders(self, process: subprocess.Popen[str], number: int) -> None:
        assert process.stdin
        assert process.stdout
        if number:
            self.compiled.wait(HEAD_START)
        with contextlib.suppress(BrokenPipeError, IndexError):  # it ended; nothing waits
            while True:
                training = self._waiting.popleft()
                self._reporter.arm_started(
                    training.arm, examples=training.examples, rounds=training.rounds
                )
                print(training.order, file=process.stdin, flush=True)
                if not any(line.rstrip("\n") == training.order for line in process.stdout):
                    return
                self.finished.put(training.arm)
                self.compiled.set()
        with contextlib.suppress(BrokenPipeError):
            print(file=process.stdin, flush=True)


def _killed(number: int) -> str:
    """What a signal to a training means."""
    name = signal.Signals(number).name
    if number != signal.SIGKILL:
        return f"ended by {name}"
    return f"was killed by {name}, by a user or because memory ran out; try a smaller --config.jobs"


def order(config: Config) -> str:
    """The line that orders a worker to train an arm."""
    return json.dumps({"arm": config.arm, "site": config.site})


def obey(orders: "SimpleQueue[str]", config: Config, workdir: Workdir) -> None:
    """A worker: trains the arms that arrive on its standard input, until an empty line.

    Args:
        orders: the lines, see `order`.
        config: the experiment's.
        workdir: the experiment's.
    """
    reporter, loader = progress.Messages(progress.console()), Loader()
    loader.load(config, workdir)  # while it waits for its first order
    while line := orders.get():
        train_arm(config.replace(**json.loads(line)), workdir, reporter, loader=loader)
        print(line, flush=True)


def train_arms(
    workdir: Workdir,
    arguments: Sequence[str],
    jobs: int,
    reporter: Reporter,
    arms: Sequence[Config],
    plans: Mapping[str, Arm],
    finished: Callable[[str], None],
) -> None:
    """Trains arms by `launch.train`, in `jobs` workers.

    Args:
        workdir: the experiment's.
        arguments: flags of `launch.experiment`, passed to every worker.
        jobs: see `run`.
        reporter: follows all of them.
        arms: the config of each arm.
        plans: the arms by name.
        finished: see `run`.

    Raises:
        ValueError: as `run`.
        SystemExit: as `run`.
    """
    program = [sys.executable, "-m", "launch.train", *arguments]
    trainings = [
        Training(
            config.arm_name,
            order(config),
            plans[config.arm_name].budget,
            config.rounds,
            workdir.arm(config.arm_name).metrics,
        )
        for config in arms
    ]
    command = [*program, f"--workdir={workdir}", "--attached"]
    run(command, trainings, jobs, os.environ, reporter, finished)


def choose(jobs: int, threads: int) -> int:
    """Chooses the number of parallel trainings.

    Args:
        jobs: as in the config; 0 means one on an accelerator, and up to four on CPU, as the cores allow.
        threads: of each training; 0 for all cores, hence one training at a time.
    """
    if jobs:
        return jobs
    return 1 if jax.default_backend() != "cpu" else max(1, min(cores() // (threads or cores()), 4))
