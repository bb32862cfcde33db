"""Lists a workdir's checkpoints, without the code, config or data of the training.

    python -m launch.checkpoints --workdir=DIR [--model=federated] [--arrays]

For every step of every arm: round, best round, the round's metrics, digest, and whether it is sound. With
`--arrays`, path, dtype, shape and SHA-256 of each array. Exits with 1 if a step is damaged. Changes nothing.
"""

import sys

from absl import app, flags, logging
from rich.console import Console
from rich.table import Table

from fl_jax.experiment.checkpoint_summary import SOUND, StepSummary, summarize_checkpoints
from fl_jax.files.text import printable
from fl_jax.workdir import Workdir
from launch.cli import arguments, output, progress

FLAGS = flags.FLAGS
COLUMNS = ("arm", "step", "best", "loss", "val AUROC", "arrays", "MiB", "digest", "state")


def overview(steps: list[StepSummary]) -> Table:
    """A row for each step."""
    table = Table(*COLUMNS, box=None)
    for step in steps:
        record = step.facts.get("record", {})
        table.add_row(
            step.arm,
            str(step.step),
            str(step.facts.get("best_round", "")),
            _number(record.get("loss"), 3),
            _number(record.get("val_macro_auroc"), 4),
            str(len(step.arrays)),
            f"{sum(row['bytes'] for row in step.arrays) / 2**20:.2f}",
            str(step.facts.get("digest", ""))[:16],
            printable(step.state, 300),
        )
    return table


def contents(step: StepSummary) -> Table:
    """A row for each array."""
    title = f"{step.arm}, step {step.step}"
    table = Table("path", "dtype", "shape", "sha256", title=title, title_justify="left", box=None)
    for row in step.arrays:
        shape = " x ".join(map(str, row["shape"])) or "scalar"
        table.add_row(row["path"], row["dtype"], shape, row["sha256"][:16])
    return table


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


@progress.readable_errors()
def main(argv: list[str]) -> None:
    """Parses flags, prints the tables, and exits with 1 if a step is damaged."""
    arguments.only_flags(argv)
    logging.set_verbosity(logging.FATAL)  # Orbax reports each damaged file as well
    steps = list(summarize_checkpoints(Workdir(FLAGS.workdir), FLAGS.model))

    def text() -> None:
        console = Console(highlight=False, markup=False)
        if not console.is_terminal:
            console = Console(highlight=False, markup=False, width=200)
        console.print(overview(steps))
        for step in steps if FLAGS.arrays else []:
            console.print()
            console.print(contents(step))

    output.show([step._asdict() for step in steps], text)
    damaged = [f"{step.arm} {step.step}" for step in steps if step.state.startswith("damaged")]
    if damaged:
        print(
            f"damaged: {', '.join(damaged)}; training resumes from the step before", file=sys.stderr
        )
    if any(step.state != SOUND for step in steps):
        sys.exit(1)


if __name__ == "__main__":
    flags.DEFINE_string("workdir", None, "Folder of launch.experiment or launch.train.")
    flags.DEFINE_string("model", "", "Only this arm, e.g. federated.")
    flags.DEFINE_bool("arrays", False, "List every array of every step.")
    flags.mark_flags_as_required(["workdir"])
    output.define_json_flag()
    app.run(main)
