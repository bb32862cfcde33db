"""Runs a model of a study on scans without labels: a CSV of probabilities and a page to look at.

    python -m launch.evaluate --workdir=runs/demo --source=DIR_OF_DICOM --out=DIR

Every file in and under the source is tried; what is no axial CT slice is refused with its reason and
shown on the page. `--data=DIR`, in place of a source, takes a dataset of launch.prepare_data, whose
labels, if it has any, are not looked at. The output folder gets predictions.csv, predictions.html and,
from a source, the dataset in data/, which does hold the headers' identifiers.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from absl import app, flags, logging
from rich.console import Console
from scipy.special import expit

from fl_jax import study
from fl_jax.data import slices as datasets
from fl_jax.report import inference
from launch import dataset, experiment, progress, trained

_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of launch.study.", required=True)
_OUT = flags.DEFINE_string("out", None, "Folder for everything that is written.", required=True)
_SOURCE = flags.DEFINE_string("source", None, "Folder of DICOM files, in any tree.")
_DATA = flags.DEFINE_string("data", None, "Folder of launch.prepare_data, in place of a source.")
_MODEL = flags.DEFINE_string("model", "federated", "A folder of the workdir's models/.")
_CHECKPOINT = flags.DEFINE_integer(
    "checkpoint", None, "Round whose parameters to take; by default the best by validation.", 1
)
_WORKERS = flags.DEFINE_integer("workers", None, "Reading processes; by default one a core.", 0)


def evaluate(
    model: trained.Trained, data_dir: Path, out: Path, *, source: str | Path = ""
) -> inference.Inference:
    """Predicts a prepared dataset and writes `predictions.csv` and `predictions.html`.

    Args:
        model: what to predict with.
        data_dir: the dataset, with or without labels.
        out: the folder to write to.
        source: the folder that names of refused files are given from.

    Returns:
        The probabilities, as they are written.

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
    slices = experiment.as_read(model.config, slices)
    logits = study.score(model.logits, model.params, slices, np.arange(len(slices)))
    found = inference.collect(slices, expit(logits))
    refused = inference.refusals(data_dir / "refused.csv", source)
    facts = {"name": model.name, "round": model.round}
    facts |= {key: model.config[key] for key in ("model", "algorithm", "image_size", "seed")}
    out.mkdir(parents=True, exist_ok=True)
    inference.write(out / "predictions.csv", found)
    page = inference.render(found, slices, refused, facts)
    progress.write_text(out / "predictions.html", page)
    return found


def load(workdir: Path, say: Callable[[str], None]) -> trained.Trained:
    """The model that the flags name; `say` is told what a reader of its results must know."""
    model = trained.load(workdir, _MODEL.value, checkpoint=_CHECKPOINT.value, complain=say)
    if model.personal:
        say(
            f"{model.config['algorithm']} gives each site a model of its own; scans of no site are "
            "judged by the global one, which that algorithm may not train whole"
        )
    return model


def main(argv: list[str]) -> None:
    """Parses flags, prepares the dataset where need be, and calls `evaluate`."""
    if len(argv) > 1:
        raise app.UsageError(f"unknown arguments {argv[1:]}: flags start with --")
    if (_SOURCE.value is None) == (_DATA.value is None):
        raise app.UsageError("give either --source=DIR_OF_DICOM or --data=DIR")
    logging.set_verbosity(logging.ERROR)  # Orbax warns that it will not write, which is asked of it
    console = Console(stderr=True, highlight=False)
    say, out = progress.speaker(console), Path(_OUT.value).expanduser()
    with progress.readable_errors():
        model = load(Path(_WORKDIR.value).expanduser(), say)
        data_dir, source = Path(_DATA.value or out / "data").expanduser(), Path()
        if _SOURCE.value is not None:
            source = Path(_SOURCE.value).expanduser()
            summary = dataset.prepare(
                console,
                source,
                layout="loose",
                data_dir=data_dir,
                image_size=model.image_size,
                max_refused=1.0,
                workers=_WORKERS.value,
            )
            notes = dataset.notes(summary)
            if notes is not None:
                console.print(notes)
        found = evaluate(model, data_dir, out, source=source if _SOURCE.value else "")
    say(f"{len(found.image)} slices judged by {model.name}, round {model.round}")
    print(out / "predictions.csv", out / "predictions.html", sep="\n")


if __name__ == "__main__":
    app.run(main)
