"""Rebuilds a study's report from its predictions, without a model; or merges one study's seeds.

Writes results.json, cross_site.json and report.html into the workdir and prints the answer:

    python -m launch.report --workdir=runs/demo [--survey=answers.csv]

Takes some 10 seconds for the demo's seven models on 2 CPU cores. With several workdirs of a study that was
trained with other seeds (`--config.seed`), it writes what another seed changes and what other patients would:
seeds.json, seeds.csv, seeds.md and seeds.html into `--out`.

    python -m launch.report --workdir=runs/s0 --workdir=runs/s1 --workdir=runs/s2 --out=runs/seeds
"""

from pathlib import Path
from typing import Any

from absl import app, flags, logging

from fl_jax import report
from fl_jax.experiment import answers
from fl_jax.experiment.config import FIELDS
from fl_jax.files import atomic
from fl_jax.report import seeds
from fl_jax.report.answer import sentence
from fl_jax.workdir import Workdir, read_records
from launch.cli import progress

_WORKDIR = flags.DEFINE_multi_string(
    "workdir",
    None,
    "Folder of launch.experiment; repeated for a study of several seeds.",
    required=True,
)
_OUT = flags.DEFINE_string("out", None, "Folder for what several workdirs are merged into.")
_RESAMPLES = flags.DEFINE_integer(
    "resamples", None, "Bootstrap resamples of patients; by default the study's.", lower_bound=1
)
_SEED = flags.DEFINE_integer("seed", None, "Of the resampling; by default the study's.")
_SURVEY = flags.DEFINE_string(
    "survey",
    None,
    "CSV of answers to configs/survey.csv, a row a respondent; by default the study's.",
)


def rebuild(workdir: Path) -> None:
    """Builds a study's report and prints the answer."""
    survey = _SURVEY.value
    if survey is None:
        survey = _config(workdir).get("survey") or ""
    results = report.build(
        workdir, resamples=_RESAMPLES.value, seed=_SEED.value, survey=answers.summary(survey)
    )
    print(sentence(results))
    print(workdir / "report.html")


def _config(workdir: Path) -> dict[str, Any]:
    manifest = Workdir(workdir).read_manifest()
    return manifest.config if manifest else {}


def merge(workdirs: list[Path], out: Path) -> None:
    """Writes what the seeds of a study say together, and prints the table."""
    studies = {str(workdir): read_records(Workdir(workdir)) for workdir in workdirs}
    config = _config(workdirs[0])
    found = seeds.compute(
        studies,
        resamples=_RESAMPLES.value or int(config.get("resamples", 1000)),
        seed=_SEED.value or 0,
        free=[name for name, field in FIELDS.items() if not field.numbers],
    )
    out.mkdir(parents=True, exist_ok=True)
    table = seeds.as_markdown(found)
    atomic.write_text(out / "seeds.json", seeds.as_json(found))
    atomic.write_text(out / "seeds.csv", seeds.as_csv(found))
    atomic.write_text(out / "seeds.md", table)
    atomic.write_text(out / "seeds.html", seeds.render(found))
    print(table)
    print(out / "seeds.html")


def main(argv: list[str]) -> None:
    """Builds one report, or merges several studies."""
    if len(argv) > 1:
        raise app.UsageError(f"unknown arguments {argv[1:]}: flags start with --")
    logging.set_verbosity(logging.ERROR)  # fontTools tells of every glyph that a PDF holds
    workdirs = [Path(name).expanduser() for name in _WORKDIR.value]
    if len(workdirs) > 1 and (_OUT.value is None or _SURVEY.value is not None):
        raise app.UsageError("several --workdir are merged: give --out=DIR, and no --survey")
    if len(workdirs) == 1 and _OUT.value is not None:
        raise app.UsageError("--out is for several --workdir; one has its report in itself")
    with progress.readable_errors():
        if len(workdirs) > 1:
            merge(workdirs, Path(_OUT.value or "").expanduser())
        else:
            rebuild(workdirs[0])


if __name__ == "__main__":
    app.run(main)
