"""Rebuilds a study's report from its predictions, without a model.

Writes results.json, cross_site.json and report.html into the workdir and prints the answer:

    python -m launch.report --workdir=runs/demo

Takes some 10 seconds for the demo's seven models on 2 CPU cores.
"""

from pathlib import Path

from absl import app, flags

from fl_jax import report
from fl_jax.report.answer import sentence
from launch import progress

_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of launch.study.", required=True)
_RESAMPLES = flags.DEFINE_integer(
    "resamples", None, "Bootstrap resamples of patients; by default the study's.", lower_bound=1
)
_SEED = flags.DEFINE_integer("seed", None, "Of the resampling; by default the study's.")


def main(argv: list[str]) -> None:
    """Builds the report and prints the answer."""
    if len(argv) > 1:
        raise app.UsageError(f"unknown arguments {argv[1:]}: flags start with --")
    workdir = Path(_WORKDIR.value).expanduser()
    with progress.readable_errors():
        results = report.build(workdir, resamples=_RESAMPLES.value, seed=_SEED.value)
    print(sentence(results))
    print(workdir / "report.html")


if __name__ == "__main__":
    app.run(main)
