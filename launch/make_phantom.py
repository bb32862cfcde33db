"""Writes the synthetic cohort: head CT of artificial patients, as DICOM in site folders.

    python -m launch.make_phantom --out=DIR --seed=0

A complete cohort of the same flags is kept.
"""

from pathlib import Path

from absl import app, flags
from rich.console import Console
from rich.table import Table

from fl_jax.phantom.cohort import CohortSummary, make_cohort
from fl_jax.phantom.sites import SITES
from launch.cli import arguments, output, progress
from launch.cli.dataset import SHORT

_OUT = flags.DEFINE_string("out", None, "Folder to write.", required=True)
_SEED = flags.DEFINE_integer("seed", 0, "Equal seeds give equal bytes.", lower_bound=0)
_SCALE = flags.DEFINE_float("scale", 1.0, "Factor on every site's number of patients.")
_MATRIX = flags.DEFINE_integer("matrix", 256, "Rows and columns of the images.")
_FAMILY = flags.DEFINE_string(
    "family", "standard", "Family of phantoms, see fl_jax/phantom/family.py."
)
_WORKERS = flags.DEFINE_integer("workers", 2, "Single-threaded processes.", lower_bound=1)
_NAMES = flags.DEFINE_list("sites", [site.name for site in SITES], "Sites to write.")


@progress.readable_errors()
def main(argv: list[str]) -> None:
    """Makes the cohort that the flags describe and prints its table."""
    arguments.only_flags(argv)
    known = {site.name: site for site in SITES}
    unknown = [name for name in _NAMES.value if name not in known]
    if unknown:
        raise app.UsageError(f"--sites={','.join(unknown)}: choose from {','.join(known)}")
    with progress.reporter() as reporter:
        summary = make_cohort(
            Path(_OUT.value).expanduser(),
            seed=_SEED.value,
            sites=[known[name] for name in _NAMES.value],
            scale=_SCALE.value,
            matrix=_MATRIX.value,
            family=_FAMILY.value,
            workers=_WORKERS.value,
            progress=progress.ticker(reporter, "cohort", "patients"),
        )

    def text() -> None:
        console = Console()
        console.print(table(summary))
        progress.Messages(console).message(f"cohort in {summary.folder}")

    output.show(summary._asdict(), text)


def table(summary: CohortSummary) -> Table:
    """A cohort's counts, one row per site and one of sums."""
    out = Table(title="Synthetic cohort: positive slices per label")
    for name in ("site", "patients", "bleeding", "slices", *SHORT.values(), "MB"):
        out.add_column(name, justify="left" if name == "site" else "right")
    rows = [(s.patients, s.bleeding, s.slices, *s.positives, s.bytes / 1e6) for s in summary.sites]
    names = [s.site for s in summary.sites]
    for name, row in zip(
        [*names, "all"], [*rows, [sum(c) for c in zip(*rows, strict=True)]], strict=True
    ):
        out.add_row(name, *(f"{value:.0f}" for value in row), end_section=name == names[-1])
    return out


if __name__ == "__main__":
    output.define_json_flag()
    app.run(main)
