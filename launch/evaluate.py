"""Runs a model of a study on scans, and judges it where these have labels.

    python -m launch.evaluate --workdir=runs/demo                            the study's own test data
    python -m launch.evaluate --workdir=runs/demo --data=DIR [--checkpoint=N --model=central]
    python -m launch.evaluate --workdir=runs/demo --predictions=theirs.csv --predictions=NAME=FILE
    python -m launch.evaluate --workdir=runs/demo --source=DIR_OF_DICOM --out=DIR

`--data` takes a dataset of launch.prepare_data. The model's probabilities go to predictions.csv and
predictions.html. Where every slice has labels, evaluation.json, evaluation.csv and evaluation.html hold the
statistics, per site and pooled, and judged.csv what they are made from; the training patients of the study's
own dataset are left out. Without `--data` and `--checkpoint` they come from the predictions that the training
has left, and no model is run. With `--by_study` these are judged by study: a head by its own answer, another
model by the largest probability of a study's slices. `--predictions` names files of other programs in the
format of judged.csv (Image, subtype and pred_label are enough), which are judged on the same images and
compared with the model.

`--source` is for scans without labels: every file in and under it is tried, and what is no axial CT slice is
refused with its reason and shown on the page. The dataset of it, in data/ of the output folder, does hold the
headers' identifiers. Without `--out` everything is written to WORKDIR/evaluations/MODEL.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from absl import app, flags
from numpy.typing import NDArray
from rich.console import Console
from scipy.special import expit

from fl_jax.data import slices as datasets
from fl_jax.experiment import labelled, predict
from fl_jax.experiment import prepare as prepare_data
from fl_jax.experiment import restore as trained
from fl_jax.files import atomic
from fl_jax.report import labelled_scans, unlabelled_scans
from fl_jax.workdir import Workdir
from launch.cli import dataset, progress

FLAGS = flags.FLAGS


class Seen(NamedTuple):
    """A dataset as a model sees it: N slices and their logits, float64[N, L]."""

    slices: datasets.Slices
    logits: NDArray[np.float64]


def evaluate(model: trained.Trained, data_dir: Path, out: Path, *, source: str | Path = "") -> Seen:
    """Predicts a prepared dataset and writes `predictions.csv` and `predictions.html`.

    Args:
        model: what to predict with.
        data_dir: the dataset, with or without labels.
        out: the folder to write to.
        source: the folder that names of refused files are given from.

    Returns:
        The slices and their logits.

    Raises:
        ValueError: the dataset's slices have another size than the model reads.
    """
    slices = datasets.load(data_dir)
    if slices.image_shape != (model.image_size, model.image_size):
        height, width = slices.image_shape
        raise ValueError(
            f"--data={data_dir} holds slices of {height} x {width}, the model reads "
            f"{model.image_size}: prepare them with --image_size={model.image_size}"
        )
    read = trained.as_read(model, slices)  # of a head these are features; the page shows pixels
    logits = predict.score(model.logits, model.params, read, np.arange(len(slices)))
    found = unlabelled_scans.collect(slices, expit(logits))
    refused = unlabelled_scans.refusals(data_dir / "refused.csv", source)
    out.mkdir(parents=True, exist_ok=True)
    unlabelled_scans.write(out / "predictions.csv", found)
    page = unlabelled_scans.render(found, slices, refused, facts(model))
    atomic.write_text(out / "predictions.html", page)
    return Seen(slices, logits)


def facts(model: trained.Trained) -> labelled.Facts:
    """What is to be said of a model."""
    known = ("model", "algorithm", "image_size", "seed")
    return {"name": model.name, "round": model.round} | {k: getattr(model.config, k) for k in known}


def load(workdir: Path, say: Callable[[str], None]) -> trained.Trained:
    """The model that the flags name; `say` is told what a reader of its results must know."""
    model = trained.load(Workdir(workdir), FLAGS.model, checkpoint=FLAGS.checkpoint, complain=say)
    if model.personal:
        say(
            f"{model.config.algorithm} gives each site a model of its own; scans of no site are "
            "judged by the global one, which that algorithm may not train whole"
        )
    return model


def prepare(source: Path, data_dir: Path, model: trained.Trained, console: Console) -> None:
    """Makes a dataset without labels of loose files, and says what was refused."""
    summary = prepare_data.prepare(
        source,
        layout="loose",
        data_dir=data_dir,
        image_size=model.image_size,
        max_refused=1.0,
        workers=FLAGS.workers,
        reporter=progress.Messages(console),
    )
    notes = dataset.notes(summary)
    if notes is not None:
        console.print(notes)


def judge(ours: labelled.Judged, out: Path, workdir: Path) -> None:
    """Writes the statistics of our model and of the programs that the flags name."""
    found = labelled.write(
        out,
        ours,
        FLAGS.predictions,
        resamples=FLAGS.resamples,
        seed=FLAGS.seed,
        studies_of=workdir if FLAGS.by_study else None,
    )
    print(labelled_scans.sentence(found))
    print(*(out / f"evaluation.{kind}" for kind in ("json", "csv", "html")), sep="\n")


def main(argv: list[str]) -> None:
    """Parses flags, prepares the dataset where need be, predicts, and judges where there are labels."""
    if len(argv) > 1:
        raise app.UsageError(f"unknown arguments {argv[1:]}: flags start with --")
    if FLAGS.source is not None and (FLAGS.data is not None or FLAGS.predictions):
        raise app.UsageError(
            "--source is for scans without labels: leave out --data and --predictions"
        )
    console = Console(stderr=True, highlight=False)
    say, workdir = progress.Messages(console).message, Path(FLAGS.workdir).expanduser()
    if FLAGS.by_study and not (FLAGS.source is FLAGS.data is FLAGS.checkpoint is None):
        raise app.UsageError(
            "--by_study is for the predictions that the training has left: leave out --source, --data and "
            "--checkpoint"
        )
    named = FLAGS.model if FLAGS.checkpoint is None else f"{FLAGS.model}-{FLAGS.checkpoint}"
    named += "-studies" if FLAGS.by_study else ""
    out = Path(FLAGS.out or workdir / "evaluations" / named).expanduser()
    with progress.readable_errors():
        if FLAGS.source is None and FLAGS.data is None and FLAGS.checkpoint is None:
            ours = labelled.stored(workdir, FLAGS.model)
            if ours is not None:
                judge(ours, out, workdir)
                return
        model = load(workdir, say)
        source = "" if FLAGS.source is None else Path(FLAGS.source).expanduser()
        data_dir = Path(FLAGS.data or (out / "data" if source else Workdir(workdir).find_data()))
        data_dir = data_dir.expanduser()
        if source:
            prepare(Path(source), data_dir, model, console)
        seen = evaluate(model, data_dir, out, source=source)
        say(f"{len(seen.slices)} slices judged by {model.name}, round {model.round}")
        print(out / "predictions.csv", out / "predictions.html", sep="\n")
        if FLAGS.predictions:
            seen.slices.require_labels()
        if seen.slices.labelled and not source:
            best = FLAGS.checkpoint is None
            ours = labelled.judged(model, *seen, workdir, data_dir, best=best, say=say)
            judge(ours._replace(facts=facts(model) | ours.facts), out, workdir)


if __name__ == "__main__":
    flags.DEFINE_string("workdir", None, "Folder of launch.experiment.", required=True)
    flags.DEFINE_string("out", None, "Folder for everything that is written.")
    flags.DEFINE_string("source", None, "Folder of DICOM files, in any tree.")
    flags.DEFINE_string("data", None, "Folder of launch.prepare_data; by default the study's.")
    flags.DEFINE_multi_string(
        "predictions", [], "FILE or NAME=FILE of another program, to compare with; may be repeated."
    )
    flags.DEFINE_integer("resamples", 1000, "Bootstrap resamples of patients.", 1)
    flags.DEFINE_integer("seed", 0, "Of the resampling.")
    flags.DEFINE_string("model", "federated", "A folder of the workdir's models/.")
    flags.DEFINE_integer(
        "checkpoint", None, "Round whose parameters to take; by default the best by validation.", 1
    )
    flags.DEFINE_bool("by_study", False, "Judge whole studies, not slices.")
    flags.DEFINE_integer("workers", None, "Reading processes; by default one a core.", 0)
    app.run(main)
