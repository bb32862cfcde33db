"""Trainings side by side, each a process of its own on its share of the cores.

Their events and sentences are passed on as they come. When one fails, or this process is told to end, the
others are told to end too, with SIGTERM, and waited for: a training saves its round first. Told a second
time, they end at once.

Each has a pipe from this process as its standard input: where this process is killed and can tell nobody, the
pipe's end does, see `preemption.end_with_parent`.
"""

import json
import shlex
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed, wait
from typing import IO

from fl_jax.experiment import preemption
from fl_jax.experiment.machine import cores
from launch.cli.progress import Event


def run(
    commands: Sequence[Sequence[str]],
    jobs: int,
    environment: Mapping[str, str],
    *,
    show: Callable[[Event], None],
    say: Callable[[str], None],
) -> None:
    """Runs programs, so many at a time.

    Args:
        commands: a program and its arguments each; see `launch.train --progress=lines`.
        jobs: how many at a time, at least 1.
        environment: of every process.
        show: called with each event, one at a time.
        say: called with every other line that a program writes.

    Raises:
        ValueError: when a program fails.
        SystemExit: when one is ended by SIGTERM and has saved, see `preemption`.
    """
    lock = threading.Lock()
    running = _Running()

    def heard(line: str) -> None:
        event = _event(line)
        with lock:
            show(event) if event else say(line.rstrip())

    with ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(_watch, c, environment, running, heard, say) for c in commands]
        try:
            for future in as_completed(futures):
                future.result()
        except BaseException:
            for future in futures:
                future.cancel()
            running.terminate()
            try:
                wait(futures)
            except BaseException:
                running.terminate()
                raise
            raise


class _Running:
    """The processes that run, and those that would begin after the end was called."""

    def __init__(self) -> None:
        self._processes: list[subprocess.Popen[str]] = []
        self._ending = False
        self._lock = threading.Lock()

    def add(self, process: subprocess.Popen[str]) -> None:
        with self._lock:
            self._processes.append(process)
            if self._ending:
                process.terminate()

    def terminate(self) -> None:
        """Sends SIGTERM to each that has not ended."""
        with self._lock:
            self._ending = True
            for process in self._processes:
                process.terminate()


def _watch(
    command: Sequence[str],
    environment: Mapping[str, str],
    running: _Running,
    heard: Callable[[str], None],
    say: Callable[[str], None],
) -> None:
    said: list[str] = []

    def listen(lines: IO[str]) -> None:
        for line in lines:
            said.append(line)
            say(line.rstrip())

    with subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
    ) as process:
        running.add(process)
        assert process.stdout
        assert process.stderr
        listener = threading.Thread(target=listen, args=[process.stderr])
        listener.start()
        for line in process.stdout:
            heard(line)
        listener.join()
    if process.returncode == preemption.STATUS:
        raise SystemExit(preemption.STATUS)
    if process.returncode:
        raise ValueError(
            f"{shlex.join(command)} ended with status {process.returncode}: {''.join(said[-5:])}"
        )


def _event(line: str) -> Event | None:
    """The event in a line; None where a library wrote something of its own."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) and "model" in found else None


def choose(jobs: int, threads: int) -> int:
    """How many trainings run side by side.

    Args:
        jobs: as in the config; 0 for as many as the cores carry on CPU, up to four, and for one on an
            accelerator.
        threads: of each; 0 for all cores, so that one at a time is chosen.
    """
    if jobs:
        return jobs
    return 1 if _has_accelerator() else max(1, min(cores() // (threads or cores()), 4))


def _has_accelerator() -> bool:
    """Asks in a process of its own, so that this one does not take the accelerator's memory."""
    code = "import jax, sys; sys.exit(jax.default_backend() != 'cpu')"
    return bool(subprocess.run([sys.executable, "-c", code], capture_output=True).returncode)
