"""What is lost when a program is killed, a checkpoint spoilt, a disk full, a site gone wrong? Nothing may be.

A trial disturbs a tiny training or study and then runs the same command again, see `disturbed`. What this
machine or user cannot bring about is told as not tried.
"""

import random
import re
import tempfile
import time
from pathlib import Path
from typing import Any

from absl import logging

from launch.benchmarks import table
from launch.benchmarks.disturbed import FAULTS, NotTriedError, Trial
from launch.benchmarks.tiny import Bench

_HEAD = ("fault", "trials", "survived", "lost", "")
_SEED = 0


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
        bench = Bench(Path(folder))
        for name, trial in chosen.items():
            found[name] = attempt(bench, name, trial, options.trials)
            print(*cells(name, found[name]), flush=True)
    rows = [cells(name, result) for name, result in found.items()]
    print(table.text("What is lost", _HEAD, rows))
    return {"measured": found}


def attempt(bench: Bench, name: str, trial: Trial, count: int) -> dict[str, Any]:
    """Makes the trials of one fault."""
    began, lost, note, done = time.monotonic(), [], "", 0
    bench.kills = 0
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
    if bench.kills:
        note = f"{bench.kills} kills"
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
