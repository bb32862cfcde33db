"""A model's predictions on labelled slices, and the validation data that set its operating points."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from fl_jax.core.types import LABELS
from fl_jax.data import partition as partitions
from fl_jax.data import slices as datasets
from fl_jax.data.index import read_index
from fl_jax.data.site_names import HOLDOUT
from fl_jax.evaluation import predictions
from fl_jax.evaluation.predictions import Predictions, select
from fl_jax.experiment import predict, restore
from fl_jax.experiment.reporter import Reporter
from fl_jax.report.results import visible_validation
from fl_jax.workdir import Workdir

Facts = dict[str, Any]
_TEXT, _NUMBERS = np.zeros(0, str), np.zeros((0, len(LABELS)))
NO_PREDICTIONS = Predictions(_TEXT, _TEXT, _TEXT, _TEXT, _NUMBERS.astype(np.uint8), _NUMBERS)


class LabelledPredictions(NamedTuple):
    """A model's predictions on labelled slices.

    Attributes:
        name: of the model.
        scores: on test and hold-out slices, and on validation slices of the same dataset.
        validation: on the slices that set its operating points; may be empty.
        facts: describe data and model on the page.
    """

    name: str
    scores: Predictions
    validation: Predictions
    facts: Facts


def stored(workdir: Workdir, arm: str) -> LabelledPredictions | None:
    """Reads the predictions that an arm's training wrote; None if there are none."""
    scores = workdir.read_predictions(arm)
    if scores is None:
        return None
    facts = {
        "predictions": str(workdir.predictions(arm)),
        "data": "the experiment's validation, test and hold-out patients",
    }
    return LabelledPredictions(arm, scores, visible_validation(arm, scores), facts)


def from_logits(
    model: restore.Trained,
    slices: datasets.Slices,
    logits: NDArray[np.float64],
    workdir: Workdir,
    data_dir: Path,
    *,
    best: bool,
    reporter: Reporter,
    seen: tuple[Predictions, str] | None = None,
    partition: Path | None = None,
) -> LabelledPredictions:
    """Splits a model's predictions on a labelled dataset.

    In the experiment's dataset, recognised by its digest, training patients are left out. Any other dataset
    is test data, except its site `holdout` and unless `partition` splits it; operating points then come from
    the experiment's validation data.

    Args:
        model: the model that predicted.
        slices: the dataset, N slices.
        logits: float64[N, L].
        workdir: of the experiment.
        data_dir: of the dataset.
        best: whether the model is the best round's, whose validation predictions the workdir has.
        reporter: gets warnings about the results.
        seen: of `validation`, if it is known already.
        partition: another experiment's partition of the dataset, whose training patients are left out, too.

    Raises:
        ValueError: a label is missing, a partition does not fit its dataset, or `partition` is given with the
            experiment's dataset, which has its own.
    """
    slices.require_labels()
    facts: Facts = {"data": str(data_dir), "slices": len(slices)}
    if datasets.identity(data_dir).digest == model.dataset:
        if partition is not None:
            raise ValueError(
                f"--partition={partition}: {data_dir} is the experiment's dataset, which has a partition: "
                "omit --partition"
            )
        scores = _split(slices, logits, _partition(workdir, slices))
        facts["training slices left out"] = len(slices) - len(scores.image)
        return LabelledPredictions(
            model.name, scores, visible_validation(model.name, scores), facts
        )
    if partition is None:
        split = np.where(slices.site == HOLDOUT, HOLDOUT, "test")
        scores = _predictions(slices, logits, slices.site, split)
    else:
        scores = _split(slices, logits, partitions.load(partition, slices, same_sites=False))
        facts |= {"partition": str(partition), "slices left out": len(slices) - len(scores.image)}
    facts["images with the name of a training image"] = _count_shared(
        model, slices, workdir, reporter
    )
    seen = seen or validation(model, workdir, best=best, reporter=reporter)
    facts["operating points from"] = seen[1]
    return LabelledPredictions(model.name, scores, seen[0], facts)


def _partition(workdir: Workdir, slices: datasets.Slices | None = None) -> partitions.Partition:
    return partitions.load(workdir.partition, slices, same_sites=False)


def _split(
    slices: datasets.Slices, logits: NDArray[np.float64], partition: partitions.Partition
) -> Predictions:
    """The validation, test and hold-out slices of the experiment's dataset."""
    parts = {split: partition.rows(slices, split) for split in predictions.SPLITS}
    rows = np.concatenate(list(parts.values()))
    split = np.repeat(list(parts), [len(part) for part in parts.values()])
    whole = _predictions(slices, logits, partition.sites_of(slices), np.full(len(slices), HOLDOUT))
    return select(whole, rows)._replace(split=split)


def _predictions(
    slices: datasets.Slices, logits: NDArray[np.float64], site: NDArray, split: NDArray
) -> Predictions:
    truth = slices.labels.astype(np.uint8)
    return Predictions(slices.image, slices.patient, site, split, truth, expit(logits))


def _count_shared(
    model: restore.Trained, slices: datasets.Slices, workdir: Workdir, reporter: Reporter
) -> int | str:
    """How many images have the name of a training image, if the experiment's dataset is on disk."""
    data_dir = workdir.find_data()
    if datasets.identity(data_dir).digest != model.dataset:
        return "unknown: the experiment's dataset is not on this disk"
    partition = _partition(workdir)
    training_patients = set(partition.patient[partition.split == "train"].tolist())
    columns = read_index(data_dir / "slices" / "index.csv", ("image", "patient"))
    pairs = zip(columns["image"], columns["patient"], strict=True)
    names = {image for image, patient in pairs if patient in training_patients}
    number = sum(name in names for name in slices.image.tolist())
    if number:
        reporter.message(
            f"{number} of {len(slices)} images have the name of a training image: "
            "if they are the same, the results are too optimistic"
        )
    return number


def validation(
    model: restore.Trained, workdir: Workdir, *, best: bool, reporter: Reporter
) -> tuple[Predictions, str]:
    """The model's predictions on the experiment's validation slices, and where they come from."""
    predicted = stored(workdir, model.name)
    if best and predicted is not None:
        return predicted.validation, "the experiment's validation predictions of this model"
    data_dir = workdir.find_data()
    if datasets.identity(data_dir).digest == model.dataset:
        slices = restore.as_read(model, datasets.load(data_dir))
        partition = _partition(workdir, slices)
        rows = partition.rows(slices, "validation")
        logits = np.full(slices.labels.shape, np.nan)
        logits[rows] = predict.score(model.logits, model.params, slices, rows)
        whole = _predictions(
            slices, logits, partition.sites_of(slices), np.full(len(slices), "validation")
        )
        seen = visible_validation(model.name, select(whole, rows))
        return seen, "the experiment's validation slices"
    reporter.message(
        "the experiment's validation data are not on this disk: only the fixed operating point is known"
    )
    return NO_PREDICTIONS, "nowhere: the experiment's validation data are not on this disk"
