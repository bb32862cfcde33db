"""Our model on labelled slices, and other programs beside it; for `launch.evaluate`."""

from collections.abc import Callable, Sequence
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
from fl_jax.experiment import predict
from fl_jax.experiment import restore as trained
from fl_jax.experiment import study_level as by_study
from fl_jax.files import atomic
from fl_jax.report import labelled_scans
from fl_jax.report.results import visible_validation
from fl_jax.workdir import EvaluationFolder, Workdir

Facts = dict[str, Any]
EMPTY, NONE = np.zeros(0, str), np.zeros((0, len(LABELS)))
NOTHING = Predictions(EMPTY, EMPTY, EMPTY, EMPTY, NONE.astype(np.uint8), NONE)
"""Validation data of a study that has none here."""
LARGEST = "the largest of its slices"
"""Where a study's probability is from, of a model of slices."""
Say = Callable[[str], None]


class Judged(NamedTuple):
    """What our model says of labelled slices.

    Attributes:
        name: of the model.
        scores: test and hold-out images, and validation images where they are of the same dataset.
        validation: images that it may choose its operating points on; none where there are none.
        facts: about data and model, name to value.
    """

    name: str
    scores: Predictions
    validation: Predictions
    facts: Facts


def stored(workdir: Path, name: str) -> Judged | None:
    """A model's predictions on the study's own data, which its training has left; None without any."""
    path = Workdir(workdir).predictions(name)
    if not path.exists():
        return None
    found = predictions.read(path)
    facts = {"predictions": str(path), "data": "the study's validation, test and hold-out patients"}
    return Judged(name, found, visible_validation(name, found), facts)


def judged(
    model: trained.Trained,
    slices: datasets.Slices,
    logits: NDArray[np.float64],
    workdir: Path,
    data_dir: Path,
    *,
    best: bool,
    say: Say,
) -> Judged:
    """What a model's logits say of a labelled dataset.

    The study's own dataset is known by its digest: its training patients are left out. Every other dataset is
    test data as a whole, or hold-out data where the site is so named; the study's validation data then give
    the operating points.

    Args:
        model: that made the logits.
        slices: the dataset, N slices.
        logits: float64[N, L].
        workdir: of the study.
        data_dir: of the dataset.
        best: whether the model is that of the best round, whose predictions the study keeps.
        say: told what a reader of the results must know.

    Returns:
        The `Judged`.

    Raises:
        ValueError: a label is missing, or the study's partition is not of this dataset.
    """
    slices.require_labels()
    facts: Facts = {"data": str(data_dir), "slices": len(slices)}
    if _digest(data_dir) == model.dataset:
        found = _divided(slices, logits, _partition(workdir, slices))
        facts["training slices left out"] = len(slices) - len(found.image)
        return Judged(model.name, found, visible_validation(model.name, found), facts)
    split = np.where(slices.site == HOLDOUT, HOLDOUT, "test")
    found = _predictions(slices, logits, slices.site, split)
    facts["images with the name of a training image"] = _shared(slices, workdir, say)
    validation, facts["operating points from"] = _thresholds(model, workdir, best=best, say=say)
    return Judged(model.name, found, validation, facts)


def _digest(data_dir: Path) -> str | None:
    return (datasets.read_summary(data_dir) or {}).get("digest")


def _partition(workdir: Path, slices: datasets.Slices | None = None) -> partitions.Partition:
    return partitions.load(workdir / "partition.csv", slices, same_sites=False)


def _divided(
    slices: datasets.Slices, logits: NDArray[np.float64], divided: partitions.Partition
) -> Predictions:
    """The validation, test and hold-out slices of the study's own dataset."""
    parts = {split: divided.rows(slices, split) for split in predictions.SPLITS}
    rows = np.concatenate(list(parts.values()))
    split = np.repeat(list(parts), [len(part) for part in parts.values()])
    found = _predictions(slices, logits, divided.sites_of(slices), np.full(len(slices), HOLDOUT))
    return select(found, rows)._replace(split=split)


def _predictions(
    slices: datasets.Slices, logits: NDArray[np.float64], site: NDArray, split: NDArray
) -> Predictions:
    truth = slices.labels.astype(np.uint8)
    return Predictions(slices.image, slices.patient, site, split, truth, expit(logits))


def _shared(slices: datasets.Slices, workdir: Path, say: Say) -> int | str:
    """How many images have the name of a training image of the study, where its dataset is on disk."""
    index = Workdir(workdir).find_data() / "slices" / "index.csv"
    if not index.exists():
        return "unknown, as the study's dataset is not on this disk"
    divided = _partition(workdir)
    trained_on = set(divided.patient[divided.split == "train"].tolist())
    columns = read_index(index, ("image", "patient"))
    pairs = zip(columns["image"], columns["patient"], strict=True)
    names = {image for image, patient in pairs if patient in trained_on}
    number = sum(name in names for name in slices.image.tolist())
    if number:
        say(
            f"{number} of {len(slices)} images have the name of an image that the study trained on: "
            "if they are the same, what follows flatters the model"
        )
    return number


def _thresholds(
    model: trained.Trained, workdir: Path, *, best: bool, say: Say
) -> tuple[Predictions, str]:
    """The study's validation images as the model sees them, and where they are from."""
    kept = stored(workdir, model.name)
    if best and kept is not None:
        return kept.validation, "the study's validation predictions of this model"
    data_dir = Workdir(workdir).find_data()
    if _digest(data_dir) == model.dataset:
        slices = trained.as_read(model, datasets.load(data_dir))
        divided = _partition(workdir, slices)
        rows = divided.rows(slices, "validation")
        logits = np.full(slices.labels.shape, np.nan)
        logits[rows] = predict.score(model.logits, model.params, slices, rows)
        seen = _predictions(
            slices, logits, divided.sites_of(slices), np.full(len(slices), "validation")
        )
        return visible_validation(model.name, select(seen, rows)), "the study's validation slices"
    say("the study's validation data are not on this disk: only the fixed operating point is known")
    return NOTHING, "nowhere: the study's validation data are not on this disk"


def others(
    files: Sequence[str], ours: Judged
) -> tuple[dict[str, Predictions], dict[str, Predictions], Facts]:
    """Reads other programs' files.

    Args:
        files: each FILE or name=FILE; a file's name without its suffix is its program's.
        ours: what they are compared with.

    Returns:
        Predictions by program, validation images by program, and facts.

    Raises:
        ValueError: two of one name, or a file that is not what it should be; see `predictions.read`.
        FileNotFoundError: no such file.
    """
    found, facts = {}, {}
    for given in files:
        name, parted, path = given.partition("=")
        if not parted or Path(given).exists():
            name, path = Path(given).stem, given
        if name == ours.name or name in found:
            raise ValueError(
                f"--predictions={given}: the name {name!r} is taken; write OTHER_NAME={path}"
            )
        if not Path(path).expanduser().is_file():
            raise FileNotFoundError(f"--predictions={given}: there is no file {path}")
        found[name] = predictions.read(Path(path).expanduser(), ours.scores)
        facts[f"predictions of {name}"] = path
    validation = {name: select(data, data.split == "validation") for name, data in found.items()}
    return found, validation, facts


def write(
    out: Path,
    ours: Judged,
    files: Sequence[str],
    *,
    resamples: int,
    seed: int,
    studies_of: Path | None = None,
) -> dict[str, Any]:
    """Judges our model and other programs, and writes `evaluation.json`, `.csv`, `.html` and `judged.csv`.

    Args:
        out: the folder to write to.
        ours: our model's predictions; `judged.csv` holds them in the format that `files` have.
        files: of other programs, see `others`.
        resamples: bootstrap resamples of patients.
        seed: of the resampling.
        studies_of: a workdir: whole studies are judged and no slices, a head by its own answers to them and
            others by the largest of a study's slices.

    Returns:
        The results, as in `evaluation.json`; see `labelled_scans.compute`.

    Raises:
        ValueError: as `others` and `labelled_scans.compute`, or an image of no known study.
        FileNotFoundError: as `others`, or the study's dataset is not on this disk.
    """
    programs, validation, facts = others(files, ours)
    overwritten = {str((out / "judged.csv").resolve())} & {
        str(Path(path).expanduser().resolve()) for path in facts.values()
    }
    if overwritten:
        raise ValueError(
            f"--predictions names {overwritten.pop()}, which this command writes: give another --out"
        )
    if studies_of is not None:
        whole = by_study.summing_up(studies_of)
        programs = {name: whole(data) for name, data in programs.items()}
        scores, how = by_study.stored(studies_of, ours.name) or (whole(ours.scores), LARGEST)
        said = ours.facts | {labelled_scans.BY_STUDY: how}
        ours = Judged(ours.name, scores, visible_validation(ours.name, scores), said)
        validation = {n: select(data, data.split == "validation") for n, data in programs.items()}
    results = labelled_scans.compute(
        {ours.name: ours.scores} | programs,
        {ours.name: ours.validation} | validation,
        ours.facts | facts,
        resamples=resamples,
        seed=seed,
    )
    out.mkdir(parents=True, exist_ok=True)
    folder = EvaluationFolder(out)
    predictions.write(folder.judged, ours.scores)
    atomic.write_json(folder.results, results)
    atomic.write_text(folder.table, labelled_scans.as_csv(results))
    atomic.write_text(folder.page, labelled_scans.render(results))
    return results
