"""Compares a model's saliency maps with the lesions drawn into the synthetic cohort.

    python -m launch.explain --workdir=runs/demo && python -m launch.report --workdir=runs/demo

Needs the cohort's masks and the dataset. Computes SmoothGrad maps of at most 40 hold-out slices per subtype,
see `fl_jax.experiment.explain`, and writes saliency.json and pictures, which the report shows. About 40 s of
CPU time for the demo.
"""

from pathlib import Path

from absl import app, flags

from fl_jax.experiment.explain import explain_workdir
from fl_jax.workdir import Workdir
from launch.cli import arguments, output, progress

FLAGS = flags.FLAGS


@progress.readable_errors()
def main(argv: list[str]) -> None:
    """Parses flags and calls `explain_workdir`."""
    arguments.only_flags(argv)
    workdir = Workdir(FLAGS.workdir)
    result = explain_workdir(
        workdir,
        FLAGS.model,
        cohort=Path(FLAGS.cohort).expanduser() if FLAGS.cohort else None,
        seed=FLAGS.seed,
        resamples=FLAGS.resamples,
        reporter=progress.Messages(progress.console()),
    )
    output.show(result, lambda: print(workdir.saliency))


if __name__ == "__main__":
    flags.DEFINE_string("workdir", None, "Folder of launch.experiment.", required=True)
    flags.DEFINE_string("cohort", None, "Folder of launch.make_phantom; by default the workdir's.")
    flags.DEFINE_string("model", "federated", "The arm.")
    flags.DEFINE_integer("seed", 0, "Of noise, random parameters and resampling.")
    flags.DEFINE_integer("resamples", 1000, "Of patients.", lower_bound=1)
    output.define_json_flag()
    app.run(main)
