"""Rebuilds an experiment's report from its predictions, or merges runs with different seeds. Runs no model.

    python -m launch.report --workdir=runs/demo [--survey=answers.csv]

writes results.json, report.html, tables, checklists, and figures/ for a paper (PDF and SVG at column width)
into the workdir and prints the result; about 10 s for the demo's seven models on 2 CPU cores, most of it for
the figures, which launch.experiment leaves out. With several workdirs that differ in `--config.seed` alone,

    python -m launch.report --workdir=runs/s0 --workdir=runs/s1 --workdir=runs/s2 --out=runs/seeds

writes the variance between seeds and between patients as seeds.json, seeds.csv, seeds.md and seeds.html.
"""

from pathlib import Path

from absl import app, flags, logging

from fl_jax.experiment.config import FIELDS
from fl_jax.files.atomic import write_json, write_text
from fl_jax.report import merged_seeds, survey
from fl_jax.report.build import build
from fl_jax.report.headline import sentence
from fl_jax.workdir import SeedsFolder, Workdir, read_records
from fl_jax.workdir.schema import Manifest
from launch.cli import arguments, output, progress

_WORKDIR = flags.DEFINE_multi_string(
    "workdir", None, "Folder of launch.experiment; repeat it to merge seeds.", required=True
)
_OUT = flags.DEFINE_string("out", None, "Output folder when merging seeds.")
_RESAMPLES = flags.DEFINE_integer(
    "resamples", None, "Bootstrap resamples of patients; default: the experiment's.", lower_bound=1
)
_SEED = flags.DEFINE_integer("seed", None, "Seed of the resampling; default: the experiment's.")
_SURVEY = flags.DEFINE_string(
    "survey", None, "CSV of answers to fl_jax/report/questionnaire.csv; default: the experiment's."
)


def rebuild(workdir: Workdir) -> None:
    """Rebuilds the report of one experiment and prints its headline."""
    config = (workdir.read_manifest() or Manifest()).config
    path = config.get("survey") or "" if _SURVEY.value is None else _SURVEY.value
    answers = survey.summarize(path)
    results = build(
        workdir, resamples=_RESAMPLES.value, seed=_SEED.value, survey=answers, paper_figures=True
    )
    output.show(results, lambda: print(sentence(results), workdir.report, sep="\n"))


def merge(workdirs: list[Workdir], out: SeedsFolder) -> None:
    """Merges the seeds of one experiment and prints the table."""
    runs = {str(workdir): read_records(workdir) for workdir in workdirs}
    first = next(iter(runs.values()))
    merged = merged_seeds.compute(
        runs,
        resamples=_RESAMPLES.value or int(first.config.get("resamples", 1000)),
        seed=_SEED.value or 0,
        ignored=[name for name, field in FIELDS.items() if not field.numbers],
    )
    table = merged_seeds.as_markdown(merged)
    with out:
        out.begin()
        write_json(out.results, merged)
        write_text(out.table, merged_seeds.as_csv(merged))
        write_text(out.markdown, table)
        write_text(out.page, merged_seeds.render(merged))
    output.show(merged, lambda: print(table, out.page, sep="\n"))


@progress.readable_errors()
def main(argv: list[str]) -> None:
    """Parses flags, then rebuilds one report or merges several."""
    arguments.only_flags(argv)
    logging.set_verbosity(logging.ERROR)  # fontTools logs every glyph of a PDF
    workdirs = [Workdir(name) for name in _WORKDIR.value]
    if len(workdirs) > 1 and (_OUT.value is None or _SURVEY.value is not None):
        raise app.UsageError("several --workdir are merged: give --out=DIR, and no --survey")
    if len(workdirs) == 1 and _OUT.value is not None:
        raise app.UsageError("--out is for several --workdir; a single report goes to its workdir")
    if len(workdirs) > 1:
        merge(workdirs, SeedsFolder(Path(_OUT.value or "").expanduser()))
    else:
        rebuild(workdirs[0])


if __name__ == "__main__":
    output.define_json_flag()
    app.run(main)
