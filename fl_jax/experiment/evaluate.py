"""Predicts scans with a trained model, and evaluates the predictions if the scans have labels."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from fl_jax.core.types import ANY
from fl_jax.data import domain
from fl_jax.data import slices as datasets
from fl_jax.data.metadata import read_summary
from fl_jax.data.studies import Studies
from fl_jax.evaluation import call_rule, patient_level, predictions
from fl_jax.evaluation.predictions import Predictions
from fl_jax.evaluation.tissue import Tissue, measure
from fl_jax.experiment import (
    compare_predictions,
    labelled_predictions,
    prepare,
    restore,
    study_level,
    training_domain,
)
from fl_jax.experiment import inputs as training_inputs
from fl_jax.experiment.data import report_intensity
from fl_jax.experiment.labelled_predictions import Facts, LabelledPredictions
from fl_jax.experiment.predict import score, study_scores
from fl_jax.experiment.reporter import Reporter
from fl_jax.experiment.study_level import StudyNames
from fl_jax.files import atomic
from fl_jax.report import call_words, inference_page, labelled_scans, unlabelled_scans, verdicts
from fl_jax.report.results import visible_validation
from fl_jax.workdir import EvaluationFolder, Workdir, tissue_of
from fl_jax.workdir.schema import TrainingDomain

OwnStudies = tuple[Predictions, Predictions, str]
"""A head's predictions of studies, of validation studies, and where they come from."""


class Request(NamedTuple):
    """A model, the scans to predict, and where results go.

    Attributes:
        model: the arm.
        checkpoint: the round whose parameters to use; None takes the best by validation.
        source: folder of DICOM files without labels; None for a dataset.
        data: a prepared dataset; None takes the experiment's.
        partition: a partition of `data`, of another experiment: only its validation, test and hold-out
            patients are evaluated. None evaluates all that the model was not trained on.
        out: where results go; None takes a folder of the workdir.
        others: files of other programs, FILE or NAME=FILE.
        by_study: evaluate DICOM studies instead of slices.
        resamples: bootstrap resamples of patients.
        seed: of the resampling.
        workers: processes that read `source`; None takes one a core.
    """

    model: str = "federated"
    checkpoint: int | None = None
    source: Path | None = None
    data: Path | None = None
    partition: Path | None = None
    out: Path | None = None
    others: Sequence[str] = ()
    by_study: bool = False
    resamples: int = 1000
    seed: int = 0
    workers: int | None = None

    @property
    def uses_stored_predictions(self) -> bool:
        """Whether the training's predictions suffice, so that no model runs."""
        return self.source is None and self.data is None and self.checkpoint is None

    def folder(self, workdir: Workdir) -> EvaluationFolder:
        """Where results go."""
        if self.out is not None:
            return EvaluationFolder(self.out)
        step = "" if self.checkpoint is None else f"-{self.checkpoint}"
        return workdir.evaluation(f"{self.model}{step}{'-studies' if self.by_study else ''}")


class Evaluation(NamedTuple):
    """Results and files of an evaluation.

    Attributes:
        results: see `labelled_scans.compute`; None for scans without labels.
        files: the files written.
        sentences: the verdict on scans without labels, or the results on labelled ones.
    """

    results: dict[str, Any] | None
    files: list[Path]
    sentences: list[str]


class Predicted(NamedTuple):
    """A model's predictions of a dataset.

    Attributes:
        slices: the dataset's N slices.
        logits: float64[N, L].
        sentences: the verdict, the rule behind it, and how the scans differ from the training scans.
    """

    slices: datasets.Slices
    logits: NDArray[np.float64]
    sentences: list[str]


def evaluate(workdir: Workdir, request: Request, reporter: Reporter) -> Evaluation:
    """Predicts, unless the training's predictions suffice, and evaluates against labels, if there are any.

    Raises:
        ValueError: the request contradicts itself, a file is invalid, or the dataset has another image size.
        FileNotFoundError: there is no such model, dataset or file.
    """
    _check(request)
    with request.folder(workdir) as out:
        compare_predictions.check_others(request.others, out)
        return _evaluate(workdir, request, out, reporter)


def _evaluate(
    workdir: Workdir, request: Request, out: EvaluationFolder, reporter: Reporter
) -> Evaluation:
    unfinished = _unfinished(workdir, request.model)
    if unfinished:
        reporter.message(unfinished)
    if request.uses_stored_predictions:
        ours = labelled_predictions.stored(workdir, request.model)
        if ours is not None:
            ours = ours._replace(facts=ours.facts | _training(unfinished))
            tissue = _stored_tissue(workdir, _evaluated(ours), keep=request.out is None)
            names = own = None
            if request.by_study:
                study = study_level.study_names(workdir)
                names, own = StudyNames(study, study), _stored_studies(workdir, request.model)
            return _compare(ours, request, out, [], tissue, names, own)
    model = _load(workdir, request, reporter)
    data_dir = request.data or (workdir.find_data() if request.source else workdir.own_data())
    if request.source is not None:
        out.begin()
        data_dir = out.data
        summary, _ = prepare.prepare(
            request.source,
            layout="loose",
            data_dir=data_dir,
            image_size=model.image_size,
            spacing_mm=model.config.spacing_mm,
            max_refused=1.0,
            workers=request.workers,
            reporter=reporter,
        )
        reporter.dataset_ready(summary)
    best = request.checkpoint is None
    seen = labelled_predictions.validation(model, workdir, best=best, reporter=reporter)
    training = training_domain.read(workdir, model, reporter)
    slices, logits, words = predict(model, data_dir, out, seen[0], training, source=request.source)
    report_intensity(model.config, slices, reporter)
    reporter.message(f"{len(slices)} slices predicted by {model.name}, round {model.round}")
    files = [out.predictions, out.patients, out.predictions_page]
    if request.others:
        slices.require_labels()
    if not slices.labelled or request.source is not None:
        return Evaluation(None, files, words)
    ours = labelled_predictions.from_logits(
        model,
        slices,
        logits,
        workdir,
        data_dir,
        best=best,
        reporter=reporter,
        seen=seen,
        partition=request.partition,
    )
    ours = ours._replace(facts=_facts(model) | ours.facts | _training(unfinished))
    rows = np.flatnonzero(np.isin(slices.image, _evaluated(ours)))
    names = own = None
    if request.by_study:
        names = _study_names(workdir, slices, ours)
        stored = _stored_studies(workdir, model.name) if best else None
        own = _own_studies(model, slices, ours, names, stored) if model.reader else None
    return _compare(ours, request, out, files, measure(slices, rows), names, own)


def predict(
    model: restore.Trained,
    data_dir: Path,
    out: EvaluationFolder,
    validation: Predictions,
    training: TrainingDomain | None = None,
    *,
    source: Path | None = None,
) -> Predicted:
    """Predicts a prepared dataset, and writes the predictions and their page.

    Args:
        model: the model.
        data_dir: the dataset, with or without labels.
        out: the folder to write to.
        validation: the model's predictions on validation slices, which set its thresholds.
        training: what the training scans look like; None if unknown.
        source: folder of the dataset's DICOM files, whose pixels the page shows; None without.

    Raises:
        ValueError: the dataset has another image size or spacing than the model.
    """
    slices = datasets.load(data_dir)
    if slices.image_shape != (model.image_size, model.image_size):
        height, width = slices.image_shape
        raise ValueError(
            f"--data={data_dir}: its slices are {height} x {width} pixels, the model reads "
            f"{model.image_size}: prepare them with --image_size={model.image_size}"
        )
    if slices.spacing_mm != model.config.spacing_mm:
        raise ValueError(
            f"--data={data_dir}: has {_spacing(slices.spacing_mm)}, the model reads "
            f"{_spacing(model.config.spacing_mm)}: prepare it with --spacing_mm={model.config.spacing_mm:g}"
        )
    inputs = restore.as_read(model, slices)  # for a head these are features; the page shows pixels
    logits = score(model.logits, model.params, inputs, np.arange(len(slices)))
    collected = unlabelled_scans.collect(slices, expit(logits))
    rule = call_rule.choose(validation)
    judged = verdicts.judge(collected, rule)
    comparison = _compare_domain(slices, collected, data_dir, training)
    refused = unlabelled_scans.refusals(data_dir / "refused.csv", source or "")
    out.begin()
    called = rule.calls_slices(collected.scores)[:, ANY]
    unlabelled_scans.write(out.predictions, collected, called)
    verdicts.write(out.patients, judged)
    summary, repaired = read_summary(data_dir), Counter[str]()
    for site in summary["sites"].values() if summary else ():
        repaired.update(site["repairs"])
    scans = inference_page.Scans(slices, source, refused, repaired)
    page = inference_page.render(collected, scans, rule, comparison, _facts(model))
    atomic.write_text(out.predictions_page, page)
    words = [
        inference_page.headline(judged),
        f"Slices: {call_words.slice_rule(rule)}. Patients: {call_words.patient_rule(rule)}.",
        inference_page.differences(comparison),
    ]
    return Predicted(slices, logits, words)


def _compare_domain(
    slices: datasets.Slices,
    collected: unlabelled_scans.ScanPredictions,
    data_dir: Path,
    training: TrainingDomain | None,
) -> inference_page.Comparison:
    parts = domain.studies(slices)
    measured = domain.measure(slices, domain.read_extent(data_dir, slices), parts)
    name = dict(zip(collected.row.tolist(), collected.study.tolist(), strict=True))
    studies = {name[int(rows[0])]: one for rows, one in zip(parts, measured, strict=True)}
    if training is None:
        basis = "the training scans' ranges are not known, because the training dataset is not on this disk"
        return inference_page.Comparison(studies, None, basis)
    basis = f"{training.studies} of {training.of} training studies"
    ordered = dict.fromkeys(collected.study.tolist())
    return inference_page.Comparison({n: studies[n] for n in ordered}, training.ranges, basis)


def _spacing(mm: float) -> str:
    return f"{mm:g} mm a pixel" if mm else "each file's whole field of view"


def _check(request: Request) -> None:
    if request.source is not None and (request.data is not None or request.others):
        raise ValueError("--source is for scans without labels: omit --data and --predictions")
    if request.partition is not None and request.data is None:
        raise ValueError(f"--partition={request.partition} is of a dataset: name it with --data")
    if request.by_study and request.source is not None:
        raise ValueError(
            "--by_study evaluates labelled studies, and --source is for scans without labels: omit one"
        )


def _load(workdir: Workdir, request: Request, reporter: Reporter) -> restore.Trained:
    model = restore.load(workdir, reporter, request.model, checkpoint=request.checkpoint)
    if model.personal:
        reporter.message(
            f"{model.config.algorithm} gives each site a personal model; scans of no site are predicted "
            "by the global model, which that algorithm may not train completely"
        )
    return model


def _evaluated(ours: LabelledPredictions) -> list[str]:
    return ours.scores.image[ours.scores.split != "validation"].tolist()


def _stored_tissue(workdir: Workdir, images: list[str], *, keep: bool) -> Tissue | str:
    try:
        return tissue_of(workdir, workdir.own_data(), images, keep=keep)
    except ValueError as error:  # stored predictions are evaluated without a usable dataset, too
        return str(error)


def _unfinished(workdir: Workdir, model: str) -> str:
    """Says that an arm's training has begun and not ended; empty otherwise."""
    arm = workdir.arm(model)
    values = None if arm.read_done() else training_inputs.read(arm)
    if values is None:
        return ""
    trained = max((record.round for record in arm.read_metrics()), default=0)
    return (
        f"The training of {model} has not finished: {trained} of {values['rounds']} rounds are done, so "
        "these results are of an unfinished model."
    )


def _training(unfinished: str) -> Facts:
    return {labelled_scans.TRAINING: unfinished} if unfinished else {}


def _study_names(
    workdir: Workdir, slices: datasets.Slices, ours: LabelledPredictions
) -> StudyNames:
    evaluated = dict(zip(slices.image.tolist(), slices.study.tolist(), strict=True))
    if (ours.scores.split == "validation").any():  # the experiment's own dataset
        return StudyNames(evaluated, evaluated)
    try:
        return StudyNames(evaluated, study_level.study_names(workdir))
    except (FileNotFoundError, ValueError):  # without that dataset a patient counts as one study
        return StudyNames(evaluated, {})


def _stored_studies(workdir: Workdir, arm: str) -> OwnStudies | None:
    path = workdir.study_predictions(arm)
    if not path.exists():
        return None
    scores = predictions.read(path)
    return scores, visible_validation(arm, scores), str(path)


def _own_studies(
    model: restore.Trained,
    slices: datasets.Slices,
    ours: LabelledPredictions,
    names: StudyNames,
    stored: OwnStudies | None,
) -> OwnStudies:
    """A head's predictions of the studies of any dataset."""
    inputs = restore.as_read(model, slices)
    assert isinstance(inputs, Studies)
    scores = study_scores(model.logits, model.params, inputs)
    study = [names.evaluated[image] for image in ours.scores.image.tolist()]
    each = patient_level.aggregate(ours.scores, study)
    own = each._replace(scores=np.array([scores[name] for name in each.image.tolist()]))
    how = f"the head's, round {model.round}"
    if (own.split == "validation").any():
        return own, visible_validation(model.name, own), how
    # Thresholds of slices do not apply to studies, so only studies that the head scored may set them.
    return own, stored[1] if stored else labelled_predictions.NO_PREDICTIONS, how


def _facts(model: restore.Trained) -> Facts:
    known = ("model", "algorithm", "image_size", "seed")
    return {"name": model.name, "round": model.round} | {k: getattr(model.config, k) for k in known}


def _compare(
    ours: LabelledPredictions,
    request: Request,
    out: EvaluationFolder,
    files: list[Path],
    tissue: Tissue | str,
    names: StudyNames | None,
    own: OwnStudies | None,
) -> Evaluation:
    results = compare_predictions.compare(
        ours,
        compare_predictions.read_others(request.others, ours),
        out,
        resamples=request.resamples,
        seed=request.seed,
        tissue=tissue,
        names=names,
        own=own,
    )
    sentences = [labelled_scans.sentence(results), labelled_scans.called(results)]
    sentences += labelled_scans.beside(results)
    return Evaluation(results, [*files, out.results, out.table, out.page], sentences)
