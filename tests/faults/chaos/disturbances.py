"""A tiny training or study that is disturbed in one way each, and run again by the same command.

It has survived where that ends with the bits of an undisturbed run; where a workdir cannot be written or is
another's, the disturbed command must also refuse in a sentence. Everything else is lost, and named.
"""

import errno
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

from chaos import damage, disks, outcomes, programs, tiny
from chaos.programs import Ended
from chaos.tiny import Bench
from fl_jax.experiment import preemption

Trial = Callable[[Bench, Path, random.Random], str]
"""`(bench, workdir, generator) -> what is lost`, empty where it survived; the workdir does not exist yet."""


class NotTriedError(Exception):
    """This machine or user cannot bring the fault about; says why."""


def again(whole: tiny.Whole, workdir: Path, unneeded: str = "") -> str:
    """Runs the command again; what is lost. A step that it does not need may stay damaged, if it shows."""
    ended = programs.run(whole.program, workdir)
    if ended.status:
        return f"the same command ends with status {ended.status}: {ended.said[-300:]!r}"
    found = outcomes.outcome(workdir)
    names = outcomes.differences(found, whole.found)
    if unneeded in names and str(found.get(unneeded)).startswith("damaged: "):
        names.remove(unneeded)
    return told(names)


def told(names: list[str]) -> str:
    """The files that differ, in words; empty without any."""
    return f"other bits in {', '.join(names)}" if names else ""


def killed(
    whole: tiny.Whole, workdir: Path, generator: random.Random, phase: str, *, kills: int = 1
) -> tuple[str, int]:
    """Kills a program, at first in a phase and then anywhere, and runs it to its end.

    Args:
        whole: the program.
        workdir: where it runs, a new folder or one in which it goes on.
        generator: of the moments.
        phase: of `programs.KINDS`, or `any`.
        kills: how often.

    Returns:
        What is lost, and how often it was killed: the last time it may have been done before.
    """
    phases, done = programs.KINDS if phase == "any" else (phase,), 0
    for _ in range(kills):
        moment = programs.draw(generator, whole.operations, phases)
        ended = programs.run(whole.program, workdir, moment)
        if ended.status not in (0, -signal.SIGKILL):
            return f"ends with status {ended.status} by itself: {ended.said[-300:]!r}", done
        done += ended.status != 0
        half = half_files(workdir, whole.found)
        if half:
            return f"half a file after {moment}: {', '.join(half)}", done
        phases = programs.KINDS
    return again(whole, workdir), done


def half_files(workdir: Path, wanted: outcomes.Outcome) -> list[str]:
    """Predictions and files of a report that are there, by their last name, and not whole."""
    found = outcomes.files(workdir)
    named = (n for n in found if programs.kind(n, "open") in ("evaluation", "report"))
    return [n for n in named if not n.endswith(".partial") and found[n] != wanted.get(n)]


def training_killed(phase: str) -> Trial:
    """SIGKILL in a phase of a training; every second trial is killed once more while it goes on."""

    def trial(bench: Bench, workdir: Path, generator: random.Random) -> str:
        kills = generator.choice([1, 2])
        lost, done = killed(bench.training, workdir, generator, phase, kills=kills)
        bench.kills += done
        return lost

    return trial


def study_killed(phase: str) -> Trial:
    """SIGKILL while a study predicts or writes its report."""

    def trial(bench: Bench, workdir: Path, generator: random.Random) -> str:
        tiny.unfinished(bench.study, workdir)
        lost, done = killed(bench.ending, workdir, generator, phase)
        bench.kills += done
        return lost

    return trial


def preempted(bench: Bench, workdir: Path, generator: random.Random) -> str:
    """SIGTERM: exit status 75, or 0 where it was done."""
    whole = bench.training
    moment = programs.draw(generator, whole.operations, number=signal.SIGTERM)
    ended = programs.run(whole.program, workdir, moment)
    if ended.status not in (0, preemption.STATUS):
        return f"{moment}: ends with status {ended.status}: {ended.said[-300:]!r}"
    return again(whole, workdir)


def damaged(how: Callable[[Path, random.Random], None]) -> Trial:
    """Damage to a step of a training that has all its rounds and no predictions."""

    def trial(bench: Bench, workdir: Path, generator: random.Random) -> str:
        whole = bench.training
        tiny.without_predictions(tiny.copied(whole.workdir, workdir), "federated")
        folder = Path("models", "federated", "checkpoints")
        how(workdir / folder, generator)
        before = str(folder / str(tiny.ROUNDS - 1))  # the newest is sound where this one is not
        return again(whole, workdir, unneeded=before)

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
        ended = programs.run(whole.program, workdir)
        if ended.status:
            said = refused(ended, "")
            if said:
                return said
        disk.remount("size=64m")
        return again(whole, workdir)


def no_room(bench: Bench, workdir: Path, generator: random.Random) -> str:
    """From some moment on no file can be opened or folder made for want of room; then there is room."""
    whole = generator.choice([bench.training, bench.ending])
    if whole is bench.ending:
        tiny.unfinished(bench.study, workdir)
    moment = programs.draw(generator, whole.operations, number=-errno.ENOSPC)
    ended = programs.run(whole.program, workdir, moment)
    said = refused(ended, "")
    half = half_files(workdir, whole.found)
    if said or half:
        return f"{moment}: {said or half}"
    return again(whole, workdir)


def read_only(bench: Bench, workdir: Path, generator: random.Random) -> str:
    """A file system that becomes read-only: refused, nothing changed, and later the same command goes on."""
    whole = bench.training
    try:
        disk = disks.mount(workdir, kib=65536)
    except OSError as error:
        raise NotTriedError(str(error)) from error
    with disk:
        moment = programs.draw(generator, whole.operations, ("training", "save"))
        programs.run(whole.program, workdir, moment)
        before = outcomes.files(workdir)
        disk.remount("ro")
        said = refused(programs.run(whole.program, workdir), "is read-only")
        said = said or told(outcomes.differences(outcomes.files(workdir), before))
        disk.remount("rw")
        return said or again(whole, workdir)


def twice(bench: Bench, workdir: Path, generator: random.Random) -> str:
    """A second process on a workdir: refused, and the first ends as if nothing had been."""
    whole = bench.training
    stop = signal.SIGSTOP
    moment = programs.draw(generator, whole.operations, ("save", "deletion"), stop)._replace(
        delay=0
    )
    with programs.started(whole.program, workdir, moment) as first:
        first.reach()
        other = programs.apart(whole.program, bench.folder / "second")
        said = refused(programs.run(other, workdir), f"process {first.pid} is writing 'federated'")
        first.resume()
        ended = first.end()
    if said or ended.status:
        return said or f"the first ends with status {ended.status}: {ended.said[-300:]!r}"
    return told(outcomes.differences(outcomes.outcome(workdir), whole.found))


def orphaned(bench: Bench, workdir: Path, generator: random.Random) -> str:
    """SIGKILL of a study with trainings side by side: they end too, and the same command goes on at once."""
    flags = (*bench.study.program.flags, "--config.jobs=2")
    whole = bench.study._replace(program=bench.study.program._replace(flags=flags))
    with programs.started(whole.program, workdir) as process:
        children = programs.children(workdir, process)
        time.sleep(generator.uniform(0, 1))
        process.kill()
        bench.kills += 1
    alive = programs.alive(children, 30.0)
    if len(children) < 2 or alive:
        return f"of the trainings {children} these live on: {alive}"
    return again(whole, workdir)


FAULTS: dict[str, Trial] = {
    **{f"SIGKILL: {p}": training_killed(p) for p in ("training", "save", "deletion")},
    "SIGKILL: evaluation": study_killed("evaluation"),
    "SIGKILL: report": study_killed("report"),
    "SIGKILL: study with trainings side by side": orphaned,
    "SIGTERM": preempted,
    **{f"checkpoint: {name}": damaged(how) for name, how in damage.KINDS.items()},
    "disk full": full,
    "disk full: at any file": no_room,
    "read-only workdir": read_only,
    "two processes on one workdir": twice,
}
