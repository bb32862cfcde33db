"""Progress of a program: bars on a terminal, a line every 30 s in a log, errors in one line."""

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from fl_jax.experiment.reporter import Reporter
from fl_jax.files.text import printable
from launch.cli import dataset, errors

EVERY = 30.0
"""Seconds between log lines about the same work."""


def console() -> Console:
    """The console on standard error; standard output is for results."""
    return Console(stderr=True, highlight=False)


class Messages(Reporter):
    """Prints messages but no progress, for a training whose parent process follows its metrics."""

    def __init__(self, out: Console) -> None:
        self._out = out

    def message(self, text: str) -> None:
        """Prints a sentence verbatim: `[/a/path]` is no markup."""
        self._out.print(text, markup=False, soft_wrap=True)

    def dataset_ready(self, summary: Any) -> None:
        """Prints the dataset's tables."""
        self._out.print(dataset.table(summary))
        notes = dataset.notes(summary)
        if notes is not None:
            self._out.print(notes)


class Bars(Messages):
    """A bar with the remaining time for each stage and arm."""

    def __init__(self, out: Console) -> None:
        super().__init__(out)
        self.display = Progress(
            TextColumn("{task.description:<14}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:3.0f} %"),
            TextColumn("{task.fields[note]}", markup=False),
            TimeRemainingColumn(),
            console=out,
        )
        self._tasks: dict[str, TaskID] = {}
        self._rounds: dict[str, int] = {}

    def progress(self, stage: str, done: int, total: int, unit: str) -> None:
        """Moves the bar of a stage."""
        if stage not in self._tasks:
            self._add(stage, total)
        note = f"{done:,} of {total:,} {unit}"
        self.display.update(self._tasks[stage], completed=done, total=total, note=note)

    def arm_planned(self, arm: str, *, examples: int, rounds: int) -> None:
        """Adds the bar of an arm that waits for its turn."""
        self._rounds[arm] = rounds
        self._add(arm, examples)
        self.display.update(self._tasks[arm], note="waiting")

    def arm_started(self, arm: str, *, examples: int, rounds: int) -> None:
        """Shows that an arm's training has begun."""
        if arm not in self._tasks:
            self.arm_planned(arm, examples=examples, rounds=rounds)
        self.display.reset(self._tasks[arm], note="starting")

    def examples_seen(self, arm: str, count: int) -> None:
        """Moves the bar of an arm."""
        self.display.advance(self._tasks[arm], count)

    def round_finished(self, arm: str, record: dict[str, Any]) -> None:
        """Shows a round next to the arm's bar."""
        self.display.update(self._tasks[arm], note=round_note(record, self._rounds[arm]))

    def _add(self, name: str, total: int) -> None:
        self._tasks[name] = self.display.add_task(name, total=total, note="")
        self.display.start()


class LogLines(Messages):
    """A line about each stage and arm every 30 s, and one at its end."""

    def __init__(self, out: Console, *, every: float = EVERY) -> None:
        super().__init__(out)
        self._every, self._lock = every, threading.Lock()
        self._printed: dict[str, float] = {}
        self._seen: dict[str, int] = {}
        self._planned: dict[str, tuple[int, int]] = {}
        self._note: dict[str, str] = {}

    def progress(self, stage: str, done: int, total: int, unit: str) -> None:
        """Prints the progress of a stage."""
        self._print(stage, f"{done:,} of {total:,} {unit}", last=done == total)

    def arm_planned(self, arm: str, *, examples: int, rounds: int) -> None:
        """Notes an arm, which `waiting` then lists."""
        self._planned[arm], self._seen[arm], self._note[arm] = (examples, rounds), 0, ""

    def arm_started(self, arm: str, *, examples: int, rounds: int) -> None:
        """Prints the plan of an arm."""
        self.arm_planned(arm, examples=examples, rounds=rounds)
        self._print(arm, f"{rounds} rounds, {examples:,} examples", last=True)

    def examples_seen(self, arm: str, count: int) -> None:
        """Prints the progress of an arm."""
        with self._lock:
            self._seen[arm] += count
        share = self._seen[arm] / self._planned[arm][0]
        self._print(arm, f"{share:4.0%}  {self._note[arm]}".rstrip(), last=False)

    def round_finished(self, arm: str, record: dict[str, Any]) -> None:
        """Prints a round."""
        rounds = self._planned[arm][1]
        self._note[arm] = round_note(record, rounds)
        self._print(arm, self._note[arm], last=record["round"] == rounds)

    def waiting(self) -> None:
        """Prints where all arms are if nothing else was printed for 30 s."""
        now = time.monotonic()
        if now - max(self._printed.values(), default=now) < self._every:
            return
        shares = [f"{arm} {self._seen[arm] / all_:.0%}" for arm, (all_, _) in self._planned.items()]
        self._print("training", ", ".join(shares), last=True)

    def _print(self, name: str, text: str, *, last: bool) -> None:
        now = time.monotonic()
        with self._lock:
            if not last and now - self._printed.setdefault(name, now) < self._every:
                return
            self._printed[name] = now
        self.message(f"{name}: {text}")


@contextlib.contextmanager
def reporter(out: Console | None = None) -> Iterator[Messages]:
    """Yields the reporter that fits the console: bars on a terminal, lines in a log."""
    out = out or console()
    if not out.is_terminal:
        yield LogLines(out)
        return
    bars = Bars(out)
    try:
        yield bars
    finally:
        bars.display.stop()


def round_note(record: dict[str, Any], rounds: int) -> str:
    """A round in one line, with the sites that were left out and the reasons."""
    loss, auroc = (
        "undefined" if value is None else f"{value:.{digits}f}"
        for value, digits in ((record["loss"], 3), (record["val_macro_auroc"], 4))
    )
    reasons = (f"{site} ({reason})" for site, reason in record["left_out"].items())
    left_out = f"  left out: {', '.join(reasons)}" if record["left_out"] else ""
    left_out += "  round not used" if record["void"] else ""
    return (
        f"round {record['round']:>2}/{rounds}  loss {loss}  val AUROC {auroc}  "
        f"{record['images_per_second']:.0f} examples/s{left_out}"
    )


def ticker(report: Reporter, stage: str, unit: str) -> Callable[[int, int], None]:
    """Returns `(done, total) -> None`, which reports the progress of one stage."""
    return lambda done, total: report.progress(stage, done, total, unit)


@contextlib.contextmanager
def readable_errors() -> Iterator[None]:
    """Turns expected errors, see `errors`, into one line on standard error and exit status 1."""
    before, threading.excepthook = threading.excepthook, _of_thread
    try:
        yield
    except Exception as error:
        text = errors.explain(error)
        if text is None:
            raise
        print("error:", "\n".join(printable(x, 2000) for x in text.splitlines()), file=sys.stderr)
        sys.exit(1)
    finally:
        threading.excepthook = before


def _of_thread(arguments: threading.ExceptHookArgs) -> None:
    """Silences tensorboardX's writer thread; a full disk shows at the next write of ours."""
    if not type(arguments.thread).__module__.startswith("tensorboardX."):
        threading.__excepthook__(arguments)
