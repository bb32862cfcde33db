"""What is lost when a program is killed, a checkpoint spoilt, a disk full, a site gone wrong? Nothing may be.

A trial disturbs a tiny training or study (a process of its own), and then runs the same command again. It has
survived where that ends with the bits of an undisturbed run, or where the disturbed command refuses in a
sentence, as it must where a workdir cannot be written or is another's. Everything else is lost, and named.

What this machine or user cannot bring about is told as not tried.
"""

import random
import re
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from absl import logging

from launch import preemption
from launch.benchmarks import disks, outcomes, sites, spoilt, table, tiny, trials
from launch.benchmarks.trials import Ended

_HEAD = ("fault", "trials", "survived", "lost", "")
_SEED = 0


class Bench(NamedTuple):
    """What trials are made with: both programs undisturbed, a study that lacks a model's end and its
    report and is run on, and a folder."""

    training: tiny.Whole
    study: tiny.Whole
    ending: tiny.Whole
    folder: Path


Trial = Callable[[Bench, Path, random.Random], str]
"""`(bench, workdir, generator) -> what is lost`, empty where it survived; the workdir does not exist yet."""


class NotTriedError(Exception):
    """This machine or user cannot bring the fault about; says why."""


def run(options: Any) -> dict[str, Any]:
    """Tries every fault, and prints a table.

    Args:
        options: `trials` of each fault, `cases` (a regular expression); see `launch.benchmark`.

    Returns:
        `{"measured": {fault: {"trials", "survived", "lost": [...], "note"}}}`.

    Raises:
        ValueError: there is to be no trial, or no such fault.
    """
    if options.trials < 1:
        raise ValueError(f"trials={options.trials}: must be at least 1")
    chosen = {name: trial for name, trial in FAULTS.items() if re.search(options.cases, name)}
    if not chosen:
        raise ValueError(f"cases={options.cases!r}: finds none of {', '.join(FAULTS)}")
    logging.set_verbosity(logging.FATAL)  # Orbax reports each damaged file in its own way
    found: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        bench = make(Path(folder))
        for name, trial in chosen.items():
            found[name] = attempt(bench, name, trial, options.trials)
            print(*cells(name, found[name]), flush=True)
    rows = [cells(name, result) for name, result in found.items()]
    print(table.text("What is lost", _HEAD, rows))
    return {"measured": found}


def make(folder: Path) -> Bench:
    """Runs both programs undisturbed."""
    data = tiny.dataset(folder)
    training = tiny.whole(tiny.training(folder, data), folder / "training")
    study = tiny.whole(tiny.study(folder, data), folder / "study")
    ending = tiny.whole(study.program, unfinished(study, folder / "ending"))
    return Bench(training, study, ending, folder)


def unfinished(study: tiny.Whole, workdir: Path) -> Path:
    """A study in which one model has yet to predict, and the report to be written."""
    tiny.without_predictions(tiny.copied(study.workdir, workdir), "local_trauma")
    return tiny.without_report(workdir)


def attempt(bench: Bench, name: str, trial: Trial, count: int) -> dict[str, Any]:
    """Makes the trials of one fault."""
    began, lost, note = time.monotonic(), [], ""
    done = 0
    for number in range(count):
        generator = random.Random(f"{_SEED} {name} {number}")
        with tempfile.TemporaryDirectory(dir=bench.folder) as folder:
            try:
                said = trial(bench, Path(folder) / "run", generator)
            except NotTriedError as error:
                note = f"not tried: {error}"
                break
            except TimeoutError as error:
                said = f"hangs: {error}"
        done += 1
        lost += [f"trial {number}: {said}"] if said else []
    seconds = round(time.monotonic() - began, 1)
    return {
        "trials": done,
        "survived": done - len(lost),
        "lost": lost,
        "note": note,
        "seconds": seconds,
    }


def cells(name: str, found: dict[str, Any]) -> tuple[str, ...]:
    """A line of the table."""
    counts = (str(found["trials"]), str(found["survived"]), str(len(found["lost"])))
    return (name, *counts, "; ".join([*found["lost"], found["note"]]).strip("; ")[:300])


def again(whole: tiny.Whole, workdir: Path) -> str:
    """Runs the command again; what is lost."""
    ended = trials.run(whole.program, workdir)
    if ended.status:
        return f"the same command ends with status {ended.status}: {ended.said[-300:]!r}"
    return told(outcomes.differences(outcomes.outcome(workdir), whole.found))


def told(names: list[str]) -> str:
    """The files that differ, in words; empty without any."""
    return f"other bits in {', '.join(names)}" if names else ""


def killed(
    whole: tiny.Whole, workdir: Path, generator: random.Random, phase: str, *, kills: int = 1
) -> str:
    """Kills a program, at first in a phase and then anywhere, and runs it to its end; what is lost."""
    phases: tuple[str, ...] = (phase,)
    for _ in range(kills):
        moment = trials.draw(generator, whole.operations, phases)
        ended = trials.run(whole.program, workdir, moment)
        if ended.status not in (0, -signal.SIGKILL):
            return f"ends with status {ended.status} by itself: {ended.said[-300:]!r}"
        half = half_files(workdir, whole.found)
        if half:
            return f"half a file after {moment}: {', '.join(half)}"
        phases = trials.KINDS
    return again(whole, workdir)


def half_files(workdir: Path, wanted: outcomes.Outcome) -> list[str]:
    """Predictions and files of a report that are there, by their last name, and not whole."""
    found = outcomes.files(workdir)
    named = (n for n in found if trials.kind(n, "open") in ("evaluation", "report"))
    return [n for n in named if not n.endswith(".partial") and found[n] != wanted.get(n)]


def training_killed(phase: str) -> Trial:
    """SIGKILL in a phase of a training; every second trial is killed once more while it goes on."""

    def trial(bench: Bench, workdir: Path, generator: random.Random) -> str:
        kills = generator.choice([1, 2])
        return killed(bench.training, workdir, generator, phase, kills=kills)

    return trial


def study_killed(phase: str) -> Trial:
    """SIGKILL while a study predicts or writes its report."""

    def trial(bench: Bench, workdir: Path, generator: random.Random) -> str:
        unfinished(bench.study, workdir)
        return killed(bench.ending, workdir, generator, phase)

    return trial


def preempted(bench: Bench, workdir: Path, generator: random.Random) -> str:
    """SIGTERM: exit status 75, or 0 where it was done."""
    whole = bench.training
    moment = trials.draw(generator, whole.operations, number=signal.SIGTERM)
    ended = trials.run(whole.program, workdir, moment)
    if ended.status not in (0, preemption.STATUS):
        return f"{moment}: ends with status {ended.status}: {ended.said[-300:]!r}"
    return again(whole, workdir)


def damaged(how: Callable[[Path, random.Random], None]) -> Trial:
    """Damage to a step of a training that has all its rounds and no predictions."""

    def trial(bench: Bench, workdir: Path, generator: random.Random) -> str:
        whole = bench.training
        tiny.without_predictions(tiny.copied(whole.workdir, workdir), "federated")
        how(workdir / "models" / "federated" / "checkpoints", generator)
        return again(whole, workdir)

    return trial


def refused(ended: Ended, words: str) -> str:
    """What is wrong with a refusal; empty where it is a sentence that holds the words, and status 1."""
    lines = ended.said.strip().splitlines() or [""]
    sentence = next((line for line in lines if line.startswith("error: ")), "")
    if ended.status != 1 or words not in sentence or "Traceback" in ended.said:
        return f"no clear refusal: status {ended.status}, {ended.said[-400:]!r}"
    return ""


def full(bench: Bench, workdir: Path, generator: random.Random) -> str:
    """A disk that fills up at some time; then it has room, and the same command goes on."""
    whole = bench.training
    try:
        disk = disks.mount(workdir, kib=generator.randint(16, 4096))
    except OSError as error:
        raise NotTriedError(str(error)) from error
    with disk:
        ended = trials.run(whole.program, workdir)
        if ended.status:
            said = refused(ended, "")
            if said:
                return said
        disk.remount("size=64m")
        return again(whole, workdir)


def read_only(bench: Bench, workdir: Path, generator: random.Random) -> str:
    """A file system that becomes read-only: refused, nothing changed, and later the same command goes on."""
    whole = bench.training
    try:
        disk = disks.mount(workdir, kib=65536)
    except OSError as error:
        raise NotTriedError(str(error)) from error
    with disk:
        said = killed(whole, workdir, generator, "training", kills=0)
        before = outcomes.outcome(workdir)
        disk.remount("ro")
        said = said or refused(trials.run(whole.program, workdir), "can only be read")
        return said or told(outcomes.differences(outcomes.outcome(workdir), before))


def twice(bench: Bench, workdir: Path, generator: random.Random) -> str:
    """A second process on a workdir: refused, and the first ends as if nothing had been."""
    whole = bench.training
    stop = signal.SIGSTOP
    moment = trials.draw(generator, whole.operations, ("save", "deletion"), stop)._replace(delay=0)
    with trials.started(whole.program, workdir, moment) as first:
        first.reach()
        other = trials.apart(whole.program, bench.folder / "second")
        said = refused(trials.run(other, workdir), f"process {first.pid} is at work on federated")
        first.resume()
        ended = first.end()
    if said or ended.status:
        return said or f"the first ends with status {ended.status}: {ended.said[-300:]!r}"
    return told(outcomes.differences(outcomes.outcome(workdir), whole.found))


def orphaned(bench: Bench, workdir: Path, generator: random.Random) -> str:
    """SIGKILL of a study with trainings side by side: they end too, and the same command goes on at once."""
    flags = (*bench.study.program.flags, "--config.jobs=2")
    whole = bench.study._replace(program=bench.study.program._replace(flags=flags))
    with trials.started(whole.program, workdir) as process:
        children = trials.children(workdir, process)
        time.sleep(generator.uniform(0, 1))
        process.kill()
    alive = trials.alive(children, 30.0)
    if len(children) < 2 or alive:
        return f"of the trainings {children} these live on: {alive}"
    return again(whole, workdir)


def simulated(name: str) -> Trial:
    """A fault of `fl_jax.faults` at sites: the run ends, and its state is finite after every round."""

    def trial(bench: Bench, workdir: Path, generator: random.Random) -> str:
        del bench, workdir
        return sites.struck(name, generator.randrange(2**31))

    return trial


FAULTS: dict[str, Trial] = {
    **{f"SIGKILL: {p}": training_killed(p) for p in ("training", "save", "deletion")},
    "SIGKILL: evaluation": study_killed("evaluation"),
    "SIGKILL: report": study_killed("report"),
    "SIGKILL: study with trainings side by side": orphaned,
    "SIGTERM": preempted,
    **{f"checkpoint: {name}": damaged(how) for name, how in spoilt.KINDS.items()},
    "disk full": full,
    "read-only workdir": read_only,
    "two processes on one workdir": twice,
    **{f"sites: {name}": simulated(name) for name in sites.NAMES},
}
