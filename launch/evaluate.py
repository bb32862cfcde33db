"""Predicts scans with a trained model, and evaluates the predictions if the scans have labels.

    python -m launch.evaluate --workdir=runs/demo                       the experiment's test data
    python -m launch.evaluate --workdir=runs/demo --data=DIR [--checkpoint=N --model=central]
    python -m launch.evaluate --workdir=runs/demo --predictions=theirs.csv --predictions=NAME=FILE
    python -m launch.evaluate --workdir=runs/demo --source=DIR_OF_DICOM --out=DIR

`--data` takes a dataset of launch.prepare_data. Probabilities go to predictions.csv, patients.csv and
predictions.html. If every slice has labels, evaluation.{json,csv,html} have the statistics, per site and
pooled, and judged.csv the predictions behind them; training patients of the experiment's dataset are left
out. Without `--data` and `--checkpoint`, the training's predictions are evaluated and no model runs.
`--by_study` evaluates by DICOM study: a head's predictions of studies, or noisy-or over a study's slices,
calibrated on validation studies. Next to each AUROC stands what a shortcut would score that does not look
for blood, and the AUROC on pairs of like area of soft tissue.
`--partition` evaluates `--data` on the patients that another experiment on it kept from training, so that
both models can be compared.
`--predictions` names files of other programs in the format of judged.csv (Image, subtype and pred_label
suffice), which are compared with the model on the same images.

`--source` takes scans without labels. It reads every file in the tree; anything but an axial CT slice is
refused, with the reason on the page. The page says which patients and slices are called, worst first, at
thresholds chosen on validation data, and how the scans differ from the training scans. The dataset, data/ in
the output folder, keeps the files' names. Without `--out` results go to WORKDIR/evaluations/MODEL.
"""

from pathlib import Path

from absl import app, flags

from fl_jax.experiment.evaluate import Request, evaluate
from fl_jax.workdir import Workdir
from launch.cli import arguments, output, progress

FLAGS = flags.FLAGS


@progress.readable_errors()
def main(argv: list[str]) -> None:
    """Parses flags and calls `evaluate`."""
    arguments.only_flags(argv)
    source, data, partition, out = (
        None if path is None else Path(path).expanduser()
        for path in (FLAGS.source, FLAGS.data, FLAGS.partition, FLAGS.out)
    )
    request = Request(
        model=FLAGS.model,
        checkpoint=FLAGS.checkpoint,
        source=source,
        data=data,
        partition=partition,
        out=out,
        others=FLAGS.predictions,
        by_study=FLAGS.by_study,
        resamples=FLAGS.resamples,
        seed=FLAGS.seed,
        workers=FLAGS.workers,
    )
    with progress.reporter() as reporter:
        results, files, sentences = evaluate(Workdir(FLAGS.workdir), request, reporter)

    def text() -> None:
        print(*sentences, *files, sep="\n")

    output.show({"results": results, "files": files, "sentences": sentences}, text)


if __name__ == "__main__":
    flags.DEFINE_string("workdir", None, "Folder of launch.experiment.", required=True)
    flags.DEFINE_string("out", None, "Folder for the results.")
    flags.DEFINE_string("source", None, "Folder of DICOM files, in any tree.")
    flags.DEFINE_string(
        "data", None, "Folder of launch.prepare_data; by default the experiment's dataset."
    )
    flags.DEFINE_string(
        "partition",
        None,
        "An experiment's partition of --data: evaluate its validation, test and hold-out patients.",
    )
    flags.DEFINE_multi_string(
        "predictions", [], "FILE or NAME=FILE of another program, to compare with; may be repeated."
    )
    flags.DEFINE_integer("resamples", 1000, "Bootstrap resamples of patients.", 1)
    flags.DEFINE_integer("seed", 0, "Of the resampling.")
    flags.DEFINE_string("model", "federated", "The arm.")
    flags.DEFINE_integer(
        "checkpoint", None, "Round whose parameters to use; by default the best by validation.", 1
    )
    flags.DEFINE_bool("by_study", False, "Evaluate DICOM studies, not slices.")
    flags.DEFINE_integer("workers", None, "Reading processes; by default one a core.", 0)
    output.define_json_flag()
    app.run(main)
