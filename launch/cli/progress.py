"""Progress and logs of a training: a bar for people, `metrics.jsonl` and TensorBoard for later.

Progress events are small dicts: `{"model", "budget", "rounds"}` once, `{"model", "examples"}` for every
batch, `{"model", "record"}` after every round; as JSON lines they cross from a training's process to the
study that started it.
"""

import contextlib
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Protocol, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from fl_jax.files.text import printable
from fl_jax.workdir import locks as folder

Event = dict[str, Any]
_FLUSH_SECONDS = 0.5


class Bars:
    """One bar a model: rounds, loss, validation AUROC, images a second, time left."""

    def __init__(self, console: Console) -> None:
        self.progress = Progress(
            TextColumn("{task.description:<14}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:3.0f} %"),
            TextColumn("{task.fields[note]}", markup=False),
            TimeRemainingColumn(),
            console=console,
        )
        self._tasks: dict[str, TaskID] = {}
        self._rounds: dict[str, int] = {}

    def show(self, event: Event) -> None:
        """Takes one event."""
        model = event["model"]
        if "budget" in event:
            self._rounds[model] = event["rounds"]
            self._tasks[model] = self.progress.add_task(model, total=event["budget"], note="")
        self.progress.advance(self._tasks[model], event.get("examples", 0))
        if "record" in event:
            self.progress.update(
                self._tasks[model], note=note(event["record"], self._rounds[model])
            )


class Tick(Protocol):
    """Moves a bar: what is done, of how much. Another name is another bar, below the first."""

    def __call__(self, done: int, total: int, name: str = ..., unit: str = ...) -> None:
        """Shows how far it has come."""
        ...


@contextlib.contextmanager
def counter(name: str, unit: str, console: Console, *, before: str = "") -> Iterator[Tick]:
    """Yields a `Tick` that moves a bar with the time that is left.

    Until the first tick a terminal shows what is done `before`, if that is said, and nothing else.
    """
    status = console.status(before)
    if before and console.is_terminal:
        status.start()
    bar = Progress(
        TextColumn("{task.description:<14}"),
        BarColumn(bar_width=24),
        TextColumn("{task.completed:.0f} of {task.total:.0f} {task.fields[unit]}"),
        TimeRemainingColumn(),
        console=console,
    )
    tasks: dict[str, TaskID] = {}

    def tick(done: int, total: int, name: str = name, unit: str = unit) -> None:
        if not tasks:
            status.stop()
            bar.start()
        if name not in tasks:
            tasks[name] = bar.add_task(name, total=total, unit=unit)
        bar.update(tasks[name], completed=done)

    try:
        yield tick
    finally:
        status.stop()
        bar.stop()
    if not tasks:
        console.print(f"{name}: complete, skipped")


def note(record: Event, rounds: int) -> str:
    """A round in a line, with the sites whose message was not taken, and why."""
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


class Lines:
    """Events as JSON lines; the small ones are summed up so that they come twice a second."""

    def __init__(self, out: TextIO) -> None:
        self._out, self._waiting, self._sent = out, 0, 0.0
        self._lock = threading.Lock()  # the layout `mesh` has a thread for every device

    def show(self, event: Event) -> None:
        """Takes one event."""
        with self._lock:
            self._waiting += event.pop("examples", 0)
            due = time.monotonic() - self._sent > _FLUSH_SECONDS
            if len(event) == 1 and not due:
                return
            line = json.dumps(event | {"examples": self._waiting})
            self._waiting, self._sent = 0, time.monotonic()
            print(line, file=self._out, flush=True)


@contextlib.contextmanager
def reporter(kind: str) -> Iterator[tuple[Callable[[Event], None], Callable[[str], None]]]:
    """Yields `show` for events and `say` for sentences, as a bar or as JSON lines."""
    console = Console(stderr=True, highlight=False)
    if kind == "lines":
        yield Lines(sys.stdout).show, speaker(console)
        return
    bars = Bars(console)
    with bars.progress:
        yield bars.show, speaker(console)


def speaker(console: Console) -> Callable[[str], None]:
    """Returns what prints a sentence as it stands: `[/a/path]` is no markup."""
    return partial(console.print, markup=False, soft_wrap=True)


@contextlib.contextmanager
def readable_errors() -> Iterator[None]:
    """Turns an error that says what to do into that one sentence and exit status 1."""
    before, threading.excepthook = threading.excepthook, _of_thread
    try:
        yield
    except (ValueError, OSError) as error:
        said = (isinstance(error, OSError) and folder.without_room(error)) or str(error)
        print("error:", "\n".join(printable(x, 2000) for x in said.splitlines()), file=sys.stderr)
        sys.exit(1)
    finally:
        threading.excepthook = before


def _of_thread(arguments: threading.ExceptHookArgs) -> None:
    """Leaves out TensorBoard's: its next call raises the same where it is told."""
    if not type(arguments.thread).__module__.startswith("tensorboard."):
        threading.__excepthook__(arguments)
