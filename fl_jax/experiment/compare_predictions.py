"""Evaluates a model's predictions next to other programs' predictions on the same images."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fl_jax.evaluation import patient_level, predictions
from fl_jax.evaluation.predictions import Predictions, select
from fl_jax.evaluation.tissue import Tissue
from fl_jax.experiment.labelled_predictions import Facts, LabelledPredictions
from fl_jax.experiment.study_level import study_names
from fl_jax.files import atomic
from fl_jax.files.text import LONGEST, is_text, printable
from fl_jax.report import labelled_scans
from fl_jax.report.results import visible_validation
from fl_jax.report.shortcut_scores import by_unit
from fl_jax.workdir import EvaluationFolder, Workdir

LARGEST = "the largest of its slices"
"""How a model of slices predicts a study."""


class OtherPrograms(NamedTuple):
    """Predictions of other programs, by program.

    Attributes:
        scores: on our model's images.
        validation: of these, on validation images.
        facts: the files.
    """

    scores: dict[str, Predictions]
    validation: dict[str, Predictions]
    facts: Facts


def read_others(files: Sequence[str], ours: LabelledPredictions) -> OtherPrograms:
    """Reads other programs' files.

    Args:
        files: each FILE or NAME=FILE; by default a program is named by its file, without the suffix.
        ours: what they will be compared with.

    Raises:
        ValueError: two programs have one name, or a file is invalid; see `predictions.read`.
        FileNotFoundError: no such file.
    """
    scores: dict[str, Predictions] = {}
    facts: Facts = {}
    for argument in files:
        name, file = _name_and_file(argument)
        shown = printable(argument)
        if not is_text(name):
            raise ValueError(
                f"--predictions={shown}: a program's name is 1 to {LONGEST} printable characters; write "
                "NAME=FILE"
            )
        if name == ours.name or name in scores:
            raise ValueError(
                f"--predictions={shown}: the name {name!r} is in use; write OTHER_NAME={file}"
            )
        path = Path(file).expanduser()
        if not os.path.isfile(path):  # unlike `is_file`, also if the name is too long
            raise FileNotFoundError(f"--predictions={shown}: there is no file {printable(file)}")
        scores[name] = predictions.read(path, ours.scores)
        facts[f"predictions of {name}"] = file
    return OtherPrograms(scores, _validation(scores), facts)


def check_others(files: Sequence[str], out: EvaluationFolder) -> None:
    """Checks that no file of another program is one that the evaluation replaces.

    Raises:
        ValueError: one is.
    """
    written = {path.resolve() for path in out.files}
    for argument in files:
        path = Path(_name_and_file(argument)[1]).expanduser()
        if path.resolve() in written:
            raise ValueError(
                f"--predictions names {path}, which this command writes: give another --out"
            )


def compare(
    ours: LabelledPredictions,
    others: OtherPrograms,
    out: EvaluationFolder,
    *,
    resamples: int,
    seed: int,
    tissue: Tissue | str,
    studies_of: Workdir | None = None,
) -> dict[str, Any]:
    """Evaluates our model and other programs, and writes the results, their table, the page and `judged.csv`.

    Args:
        ours: our model's predictions; `judged.csv` has them in the format of other programs' files.
        others: see `read_others`.
        out: the folder to write to.
        resamples: bootstrap resamples of patients.
        seed: of the resampling.
        tissue: amounts in the test and hold-out slices, or why there are none.
        studies_of: evaluate DICOM studies of this workdir's dataset instead of slices. A head predicts them
            itself; for any other model a study's probability is the largest of its slices'.

    Returns:
        The results, see `labelled_scans.compute`.

    Raises:
        ValueError: the study of an image is unknown; or as `labelled_scans.compute`.
        FileNotFoundError: `studies_of` without its dataset, which maps images to studies.
    """
    patient = dict(zip(ours.scores.image.tolist(), ours.scores.patient.tolist(), strict=True))
    study = None if studies_of is None else study_names(studies_of)
    shortcuts = tissue if isinstance(tissue, str) else by_unit(tissue, patient, study)
    if studies_of is not None and study is not None:
        ours, others = _by_study(ours, others, studies_of, study)
    results = labelled_scans.compute(
        {ours.name: ours.scores} | others.scores,
        {ours.name: ours.validation} | others.validation,
        ours.facts | others.facts,
        shortcuts=shortcuts,
        resamples=resamples,
        seed=seed,
    )
    out.begin()
    predictions.write(out.judged, ours.scores)
    atomic.write_json(out.results, results)
    atomic.write_text(out.table, labelled_scans.as_csv(results))
    atomic.write_text(out.page, labelled_scans.render(results))
    return results


def _name_and_file(argument: str) -> tuple[str, str]:
    name, equals, file = argument.partition("=")
    if not equals or os.path.exists(argument):
        return Path(argument).stem, argument
    return name, file


def _by_study(
    ours: LabelledPredictions, others: OtherPrograms, workdir: Workdir, study: Mapping[str, str]
) -> tuple[LabelledPredictions, OtherPrograms]:
    def aggregate(data: Predictions) -> Predictions:
        unknown = [name for name in data.image.tolist() if name not in study]
        if unknown:
            raise ValueError(f"--by_study: image {unknown[0]!r} is not in the dataset's index.csv")
        return patient_level.aggregate(data, [study[name] for name in data.image.tolist()])

    path = workdir.study_predictions(ours.name)
    if path.exists():
        scores, source = predictions.read(path), str(path)
    else:
        scores, source = aggregate(ours.scores), LARGEST
    facts = ours.facts | {labelled_scans.BY_STUDY: source}
    ours = LabelledPredictions(ours.name, scores, visible_validation(ours.name, scores), facts)
    theirs = {name: aggregate(data) for name, data in others.scores.items()}
    return ours, OtherPrograms(theirs, _validation(theirs), others.facts)


def _validation(scores: dict[str, Predictions]) -> dict[str, Predictions]:
    return {name: select(data, data.split == "validation") for name, data in scores.items()}
