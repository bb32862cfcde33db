"""Evaluates a model's predictions next to other programs' predictions on the same images."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fl_jax.evaluation import predictions
from fl_jax.evaluation.predictions import Predictions, select
from fl_jax.evaluation.tissue import Tissue
from fl_jax.experiment.labelled_predictions import Facts, LabelledPredictions
from fl_jax.experiment.study_level import StudyNames, by_study
from fl_jax.files import atomic
from fl_jax.files.text import LONGEST, is_text, printable
from fl_jax.report import labelled_scans
from fl_jax.report.shortcut_scores import by_unit
from fl_jax.workdir import EvaluationFolder


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
    names: StudyNames | None = None,
    own: tuple[Predictions, Predictions, str] | None = None,
) -> dict[str, Any]:
    """Evaluates our model and other programs, and writes the results, their table, the page and `judged.csv`.

    Args:
        ours: our model's predictions; `judged.csv` has them in the format of other programs' files.
        others: see `read_others`.
        out: the folder to write to.
        resamples: bootstrap resamples of patients.
        seed: of the resampling.
        tissue: amounts in the test and hold-out slices, or why there are none.
        names: evaluate DICOM studies instead of slices.
        own: a head's own predictions of studies, of validation studies, and where they come from.

    Returns:
        The results, see `labelled_scans.compute`.

    Raises:
        ValueError: the study of an image is unknown; or as `labelled_scans.compute`.
    """
    patient = dict(zip(ours.scores.image.tolist(), ours.scores.patient.tolist(), strict=True))
    study = names.evaluated if names else None
    if names:
        ours, others = _by_study(ours, others, names, own)
    shortcuts = tissue if isinstance(tissue, str) else by_unit(tissue, patient, study)
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
    ours: LabelledPredictions,
    others: OtherPrograms,
    names: StudyNames,
    own: tuple[Predictions, Predictions, str] | None,
) -> tuple[LabelledPredictions, OtherPrograms]:
    scores, validation, how = own or by_study(ours.scores, ours.validation, names)
    facts = ours.facts | {labelled_scans.BY_STUDY: how}
    theirs = {
        name: by_study(data, others.validation[name], names) for name, data in others.scores.items()
    }
    their_facts = others.facts | {
        f"{labelled_scans.BY_STUDY}, {name}": how for name, (_, _, how) in theirs.items()
    }
    return ours._replace(scores=scores, validation=validation, facts=facts), OtherPrograms(
        {name: scores for name, (scores, _, _) in theirs.items()},
        {name: validation for name, (_, validation, _) in theirs.items()},
        their_facts,
    )


def _validation(scores: dict[str, Predictions]) -> dict[str, Predictions]:
    return {name: select(data, data.split == "validation") for name, data in scores.items()}
