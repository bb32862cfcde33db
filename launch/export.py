"""Exports a model's parameters as a safetensors file, which other frameworks read.

    python -m launch.export --workdir=DIR --out=FILE.safetensors [--model=federated]

Takes the best round by validation, from the newest sound checkpoint. `fl_jax.experiment.export` describes the
file. Needs the extra `export`.
"""

from pathlib import Path

from absl import app, flags, logging

from fl_jax.experiment.export import export
from fl_jax.workdir import Workdir
from launch.cli import arguments, output, progress

FLAGS = flags.FLAGS


@progress.readable_errors()
def main(argv: list[str]) -> None:
    """Parses flags and calls `export`."""
    arguments.only_flags(argv)
    logging.set_verbosity(logging.FATAL)  # Orbax reports each damaged file as well
    out, reporter = Path(FLAGS.out).expanduser(), progress.Messages(progress.console())
    count = export(Workdir(FLAGS.workdir), FLAGS.model, out, reporter)
    output.show({"file": out, "arrays": count}, lambda: print(f"{out}: {count} arrays"))


if __name__ == "__main__":
    flags.DEFINE_string("workdir", None, "Folder of launch.experiment or launch.train.")
    flags.DEFINE_string("out", None, "The file to write.")
    flags.DEFINE_string("model", "federated", "The arm.")
    flags.mark_flags_as_required(["workdir", "out"])
    output.define_json_flag()
    app.run(main)
