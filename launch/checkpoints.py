"""What a workdir's checkpoints hold, read without the code, the config or the data that made them.

    python -m launch.checkpoints --workdir=DIR [--model=federated] [--arrays]

Every step of every model: round, best round, the round's metrics, digest, and whether it is sound; with
`--arrays` each array's path, dtype, shape and SHA-256.
Exit status 1 where a step is damaged. Nothing is changed.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from absl import app, flags, logging
from rich.console import Console
from rich.table import Table

from fl_jax.experiment.checkpoint import Store, arrays
from fl_jax.files.text import printable
from launch.cli import progress

FLAGS = flags.FLAGS
COLUMNS = ("model", "step", "best", "loss", "val AUROC", "arrays", "MiB", "digest", "state")
SOUND = "sound"
UNVERIFIED = "format 1: read, not verified"


class Step(NamedTuple):
    """One step of one model.

    Attributes:
        model: its folder's name.
        number: of the step: rounds done.
        facts: what was saved beside the arrays; empty where it cannot be read.
        rows: of each array `path`, `dtype`, `shape`, `sha256`, and `bytes`.
        state: `SOUND`, `UNVERIFIED`, or `damaged: ` and why.
    """

    model: str
    number: int
    facts: dict[str, Any]
    rows: list[dict[str, Any]]
    state: str


def steps(workdir: Path, model: str = "") -> Iterator[Step]:
    """Reads every checkpoint of a workdir, the newest of each model first.

    Args:
        workdir: folder of `launch.experiment` or `launch.train`.
        model: this one only; empty for all.

    Raises:
        FileNotFoundError: there is no checkpoint to look for; says which models there are.
    """
    found = {path.parent.name: path for path in sorted(workdir.glob("models/*/checkpoints"))}
    if not found or (model and model not in found):
        raise FileNotFoundError(
            f"{workdir} holds no checkpoints of {model or 'any model'}; it has "
            f"{', '.join(found) or 'none'}: choose one with --model, or train it with launch.experiment"
        )
    for name in [model] if model else found:
        store = Store(found[name], read_only=True)
        for number in store.steps():
            yield _step(store, name, number)
        store.close()


def _step(store: Store, model: str, number: int) -> Step:
    try:
        named, facts = store.read(number)
    except Exception as error:  # whatever a damaged file makes Orbax raise
        return Step(model, number, {}, [], f"damaged: {error}")
    size = {path: array.nbytes for path, array in named.items()}
    table = facts.get("arrays") or arrays(named)
    rows = [row | {"bytes": size[row["path"]]} for row in table]
    return Step(model, number, facts, rows, SOUND if "format" in facts else UNVERIFIED)


def overview(found: list[Step]) -> Table:
    """A row a step."""
    table = Table(*COLUMNS, box=None)
    for step in found:
        record = step.facts.get("record", {})
        size = sum(row["bytes"] for row in step.rows) / 2**20
        table.add_row(
            step.model,
            str(step.number),
            str(step.facts.get("best_round", "")),
            _number(record.get("loss"), 3),
            _number(record.get("val_macro_auroc"), 4),
            str(len(step.rows)),
            f"{size:.2f}",
            str(step.facts.get("digest", ""))[:16],
            printable(step.state, 300),
        )
    return table


def contents(step: Step) -> Table:
    """A row an array."""
    title = f"{step.model}, step {step.number}"
    table = Table("path", "dtype", "shape", "sha256", title=title, title_justify="left", box=None)
    for row in step.rows:
        shape = " x ".join(map(str, row["shape"])) or "scalar"
        table.add_row(row["path"], row["dtype"], shape, row["sha256"][:16])
    return table


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def main(argv: list[str]) -> None:
    """Parses flags, prints the tables, and exits with 1 where something is damaged."""
    if len(argv) > 1:
        raise app.UsageError(f"unknown arguments {argv[1:]}: flags begin with --")
    logging.set_verbosity(logging.FATAL)  # Orbax reports each damaged file in its own way
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console = Console(highlight=False, markup=False, width=200)
    with progress.readable_errors():
        found = list(steps(Path(FLAGS.workdir).expanduser(), FLAGS.model))
        console.print(overview(found))
        for step in found if FLAGS.arrays else []:
            console.print()
            console.print(contents(step))
        wrong = [step for step in found if step.state.startswith("damaged")]
    if wrong:
        names = ", ".join(f"{step.model} {step.number}" for step in wrong)
        print(f"damaged: {names}; a run goes on from the step before", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    flags.DEFINE_string("workdir", None, "Folder of launch.experiment or launch.train.")
    flags.DEFINE_string("model", "", "This model only, e.g. federated.")
    flags.DEFINE_bool("arrays", False, "Every array of every step too.")
    flags.mark_flags_as_required(["workdir"])
    app.run(main)
