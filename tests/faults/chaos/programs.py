"""The project's programs as processes that are ended at a moment of choice, and what they leave.

A program is forked from a server that has imported what all need, and then runs as `python -m` runs it: a
start costs no import. An audit hook counts what it does to files in its workdir, each operation of a kind of
`KINDS`. A moment is one of these operations, or a time after it: so a kill can be aimed at what takes a
millisecond, such as the deletion of an old checkpoint, and falls as surely between any two operations.
"""

import contextlib
import json
import multiprocessing
import os
import random
import runpy
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, NamedTuple

from fl_jax.files.locks import LOCKS

ROOT = Path(__file__).parent.parent.parent.parent
MAKING = ("open", "os.mkdir")
KINDS = ("training", "save", "deletion", "evaluation", "report")
LIMIT = 900.0
"""Seconds after which a program counts as one that hangs."""
_SHARED = (
    "fl_jax.report",
    "launch.cli.processes",
    "fl_jax.experiment.train",
    "tensorboard.summary",
)
_EVALUATION = ("predictions", "done.json", "done.json.partial")
_REPORT = ("results.json", "cross_site.json", "report.html", "model_card.md", "figures", "tables")
_REPORT += ("reporting_checklist.md",)


class Program(NamedTuple):
    """A program: its module, its flags but for the workdir, and a folder for what it compiles and says."""

    module: str
    flags: tuple[str, ...]
    folder: Path


class Operation(NamedTuple):
    """Something done to a file of the workdir: seconds since the start, kind, audit event, path."""

    seconds: float
    kind: str
    event: str
    path: str


class Moment(NamedTuple):
    """When a signal comes: before the operation `number` (from 0) of its kind, or `delay` seconds after.

    In place of a signal, `-errno` is what every one of `MAKING` fails with from then on.
    """

    kind: str
    number: int
    delay: float = 0.0
    signal: int = signal.SIGKILL


class Ended(NamedTuple):
    """How a program ended: exit status, negative where a signal ended it; what it said; what it did."""

    status: int
    said: str
    operations: list[Operation]


def run(program: Program, workdir: Path, moment: Moment | None = None) -> Ended:
    """Runs a program to its end, or to its end at a moment.

    Raises:
        TimeoutError: it hangs.
    """
    with started(program, workdir, moment) as process:
        return process.end()


@contextlib.contextmanager
def started(program: Program, workdir: Path, moment: Moment | None = None) -> Iterator["Process"]:
    """Starts a program; it is killed at the block's end if it still runs."""
    process = Process(program, workdir, moment)
    try:
        yield process
    finally:
        process.kill()


class Process:
    """A program that runs."""

    def __init__(self, program: Program, workdir: Path, moment: Moment | None) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([*_SHARED])
        self._log = program.folder / "said"
        self._log.write_text("")
        self._operations = program.folder / "operations"
        self._operations.write_text("")
        self._moment = moment
        self._told, tell = context.Pipe(duplex=False)
        self._process = context.Process(target=_main, args=(program, workdir, moment, tell))
        self._process.start()
        tell.close()

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid or 0

    def end(self) -> Ended:
        """Sends the signal at its moment, waits, and tells how it ended.

        Raises:
            TimeoutError: it hangs.
        """
        self.reach()
        self._process.join(LIMIT)
        if self._process.exitcode is None:
            raise TimeoutError(f"still runs after {LIMIT:.0f} s: {self.said()[-500:]}")
        lines = self._operations.read_text().splitlines()
        done = [Operation(*json.loads(line)) for line in lines]
        return Ended(self._process.exitcode, self.said(), done)

    def reach(self) -> bool:
        """Waits for the moment, and sends its signal; whether it came before the program's end."""
        moment, self._moment = self._moment, None
        if moment is None or self._told not in wait([self._told, self._process.sentinel], LIMIT):
            return False
        try:
            self._told.recv_bytes()
        except EOFError:
            return False
        if moment.delay:
            time.sleep(moment.delay)
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, moment.signal)
        return True

    def resume(self) -> None:
        """Has it go on after SIGSTOP."""
        os.kill(self.pid, signal.SIGCONT)

    def said(self) -> str:
        """What it has said so far."""
        return self._log.read_text()

    def kill(self) -> None:
        """Ends it, if it runs."""
        self._process.kill()
        self._process.join()
        self._told.close()


def apart(program: Program, folder: Path) -> Program:
    """The same program for a second process: it says elsewhere what it says, and compiles nothing anew."""
    folder.mkdir(exist_ok=True)
    with contextlib.suppress(FileExistsError):
        (folder / "compiled").symlink_to(program.folder / "compiled")
    return program._replace(folder=folder)


def children(workdir: Path, process: Process) -> list[int]:
    """Waits until two trainings hold models of a workdir; their processes.

    Raises:
        TimeoutError: none does.
    """
    until = time.monotonic() + LIMIT
    while time.monotonic() < until:
        locks = workdir.glob(f"{LOCKS}/*")
        numbers = {int(path.read_text() or 0) for path in locks} - {0, process.pid}
        if len(numbers) > 1:
            return sorted(numbers)
        time.sleep(0.05)
    raise TimeoutError(f"after {LIMIT:.0f} s no two trainings run: {process.said()[-500:]}")


def alive(numbers: Sequence[int], seconds: float) -> list[int]:
    """Waits so long for processes to end; those that live on. A zombie has ended."""
    until = time.monotonic() + seconds
    while True:
        left = [number for number in numbers if _state(number) not in ("", "Z")]
        if not left or time.monotonic() > until:
            return left
        time.sleep(0.02)


def _state(number: int) -> str:
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def _main(program: Program, workdir: Path, moment: Moment | None, tell: Connection) -> None:
    log = os.open(program.folder / "said", os.O_WRONLY | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.chdir(ROOT)
    _compile_once(program.folder / "compiled")
    _watch(workdir.absolute(), program.folder / "operations", moment, tell)
    sys.argv = [program.module, *program.flags, f"--workdir={workdir}"]
    sys.modules.pop(program.module, None)
    runpy.run_module(program.module, run_name="__main__", alter_sys=True)


def _compile_once(folder: Path) -> None:
    """Keeps what is compiled for the next start; in the environment too, for its own children."""
    import jax

    os.environ["XLA_FLAGS"] = ""
    for name, value in (
        ("jax_compilation_cache_dir", str(folder)),
        ("jax_persistent_cache_min_compile_time_secs", 0),
    ):
        jax.config.update(name, value)
        os.environ[name.upper()] = str(value)


def _watch(workdir: Path, record: Path, moment: Moment | None, tell: Connection) -> None:
    began, counts, failing = time.monotonic(), Counter[str](), list[int]()
    out = os.open(record, os.O_WRONLY | os.O_APPEND)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        path = _changed(event, arguments)
        if path is None or not path.startswith(f"{workdir}/"):
            return
        inside = path[len(str(workdir)) + 1 :]
        found = kind(inside, event)
        done = Operation(round(time.monotonic() - began, 6), found, event, inside)
        os.write(out, json.dumps(done).encode() + b"\n")
        if moment is not None and (found, counts[found]) == moment[:2]:
            tell.send_bytes(b"now")
            if moment.signal > 0 and not moment.delay:
                os.kill(os.getpid(), moment.signal)
            failing.extend([-moment.signal] * (moment.signal < 0))
        counts[found] += 1
        if failing and event in MAKING:
            raise OSError(failing[0], os.strerror(failing[0]), path)

    sys.addaudithook(hook)


def _changed(event: str, arguments: tuple[Any, ...]) -> str | None:
    """The path that an audit event changes; None where it changes none."""
    if event == "open":
        path, _, flags = arguments
        if not isinstance(path, str | bytes) or not flags & (os.O_WRONLY | os.O_RDWR):
            return None
        return os.fsdecode(path)
    if event not in ("os.rename", "os.remove", "os.rmdir", "os.mkdir"):
        return None
    path, folder = os.fsdecode(arguments[0]), arguments[-1]
    if (
        event != "os.rename" and folder >= 0
    ):  # names in an open folder, as shutil.rmtree removes them
        return os.path.join(os.readlink(f"/proc/self/fd/{folder}"), path)
    return path


def kind(path: str, event: str) -> str:
    """What an operation on a file of a workdir belongs to."""
    parts = Path(path).parts
    if "checkpoints" in parts:  # Orbax also removes what it has just begun
        removed = event in ("os.remove", "os.rmdir") and "orbax-checkpoint-tmp" not in path
        return "deletion" if removed else "save"
    if parts[0] in _EVALUATION or parts[-1] in _EVALUATION:
        return "evaluation"
    return "report" if parts[0].removesuffix(".partial") in _REPORT else "training"


def moments(
    operations: Sequence[Operation], phase: str, events: Sequence[str] = ()
) -> list[tuple[Moment, float]]:
    """The operations that a phase consists of, each with the seconds from it to the next.

    With `events` those of other audit events are left out.

    What is computed before the first file of an evaluation or a report belongs to it.
    """
    counts, found = Counter[str](), []
    for one, following in zip(operations, [*operations[1:], operations[-1]], strict=True):
        before = one.kind != following.kind and following.kind in ("evaluation", "report")
        after = one.kind == "evaluation" and following.kind == "training"
        here = following.kind if before or after else one.kind
        if phase == here and (not events or one.event in events):
            found.append((Moment(one.kind, counts[one.kind]), following.seconds - one.seconds))
        counts[one.kind] += 1
    return found


def draw(
    generator: random.Random,
    operations: Sequence[Operation],
    phases: Sequence[str] = KINDS,
    number: int = signal.SIGKILL,
) -> Moment:
    """Draws a moment: a phase, an operation of it, and in half of the cases a time until the next."""
    events = () if number > 0 else MAKING
    found = (moments(operations, phase, events) for phase in phases)
    moment, gap = generator.choice(generator.choice([here for here in found if here]))
    delay = generator.uniform(0, gap) if number > 0 and generator.random() < 0.5 else 0.0
    return moment._replace(delay=delay, signal=number)
