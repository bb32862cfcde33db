"""Scores slices with a trained model, and predicts an arm's evaluation patients."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from scipy.special import expit

from fl_jax.core import trees
from fl_jax.core.layouts import State
from fl_jax.core.types import Params
from fl_jax.data import pipeline
from fl_jax.data.partition import Partition
from fl_jax.data.site_names import HOLDOUT
from fl_jax.data.slices import Slices
from fl_jax.data.studies import Studies
from fl_jax.evaluation.patient_level import aggregate
from fl_jax.evaluation.predictions import Predictions, select
from fl_jax.experiment.arms import Arm
from fl_jax.tasks.task import Task

Predict = Callable[[Params, Any], jax.Array]
"""A task's `logits`, jitted."""
LARGEST_BATCH = 2**24
"""Input values per batch: 64 slices of 512 x 512."""
BATCH_SIZES = {"cpu": 16}
"""Examples per batch by platform, 64 by default; on CPU more are no faster, and padding costs as much."""


class Model(NamedTuple):
    """The parameters of a state that prediction needs.

    Attributes:
        params: the global model.
        personal: the sites' personal models, each leaf with a leading axis S; None without any.
    """

    params: Params
    personal: Any


def model_of(state: State, personal: Callable[[Any, Any], Params] | None) -> Model:
    """The model of a state; `personal` is the algorithm's."""
    if personal is None:
        return Model(state.server.params, None)
    each = jax.vmap(personal, in_axes=(None, 0))(state.server, state.sites)
    return Model(state.server.params, each)


def outputs(
    predict: Predict,
    params: Params,
    slices: Slices,
    examples: np.ndarray,
) -> np.ndarray:
    """A model's outputs for examples, float64[n, ...]: logits [L], or [1 + S, L] for a study.

    Batches are smaller if their inputs would exceed `LARGEST_BATCH`, as whole studies of images do.
    """
    batch_size = BATCH_SIZES.get(trees.platform(params), 64)
    batch_size = max(1, min(batch_size, LARGEST_BATCH // math.prod(slices.input_shape)))
    batches = [
        np.asarray(predict(params, batch.inputs))[batch.mask > 0]
        for batch in pipeline.eval_batches(slices, examples, batch_size=batch_size)
    ]
    return np.concatenate(batches).astype(np.float64)


def score(predict: Predict, params: Params, slices: Slices, rows: np.ndarray) -> np.ndarray:
    """The logits of slices, float64[n, L], in the order of `rows`."""
    examples = slices.examples(rows)
    logits = outputs(predict, params, slices, examples)
    return slices.slice_logits(logits, examples, rows)


def score_by_site(
    predict: Predict, model: Model, arm: Arm, slices: Slices, rows: np.ndarray
) -> np.ndarray:
    """The logits of slices by their site's personal model, or by the global one if there are none."""
    if model.personal is None:
        return score(predict, model.params, slices, rows)
    logits = np.empty(slices.labels[rows].shape)
    for number, site in enumerate(arm.sites):
        at_site = slices.site[rows] == site
        if at_site.any():
            params = jax.tree.map(lambda leaf, number=number: leaf[number], model.personal)
            logits[at_site] = score(predict, params, slices, rows[at_site])
    return logits


def evaluated(arm: Arm, slices: Slices, partition: Partition) -> tuple[np.ndarray, np.ndarray]:
    """An arm's evaluation rows, int[n], and their splits.

    These are the arm's validation slices, every site's test slices, and the hold-out.
    """
    slices.require_labels()
    parts = {
        "validation": arm.validation,
        "test": partition.rows(slices, "test"),
        HOLDOUT: partition.rows(slices, HOLDOUT),
    }
    split = np.repeat(list(parts), [len(part) for part in parts.values()])
    return np.concatenate(list(parts.values())), split


def predict_slices(
    arm: Arm, task: Task, model: Model, slices: Slices, partition: Partition
) -> dict[str, Predictions]:
    """Predicts an arm's evaluation slices.

    Returns:
        Predictions of the global model under the arm's name. With personal models, also under `personal`,
        each site's slices by that site's model, without the hold-out, which belongs to no site.
    """
    rows, split = evaluated(arm, slices, partition)
    predict = jax.jit(task.logits)
    everything = Predictions(
        image=slices.image[rows],
        patient=slices.patient[rows],
        site=slices.site[rows],
        split=split,
        truth=slices.labels[rows],
        scores=expit(score(predict, model.params, slices, rows)),
    )
    if model.personal is None:
        return {arm.name: everything}
    at_sites = everything.split != HOLDOUT
    scores = expit(score_by_site(predict, model, arm, slices, rows[at_sites]))
    personal = select(everything, at_sites)._replace(scores=scores)
    return {arm.name: everything, "personal": personal}


def study_scores(predict: Predict, params: Params, slices: Studies) -> dict[str, np.ndarray]:
    """A head's probabilities float64[L] of each study: the largest of the study's examples."""
    examples = np.arange(len(slices.windows))
    logits = outputs(predict, params, slices, examples)[:, 0]
    names, place = np.unique(slices.study[slices.windows[:, 0]], return_inverse=True)
    largest = np.full((len(names), logits.shape[1]), -np.inf)
    np.maximum.at(largest, place, logits)
    return dict(zip(names.tolist(), expit(largest), strict=True))


def predict_studies(
    arm: Arm, task: Task, model: Model, slices: Studies, partition: Partition
) -> Predictions:
    """Predicts DICOM studies by the head's logit for the study as a whole.

    Returns:
        Named by study. Score and truth are the largest of the study's examples.
    """
    rows, split = evaluated(arm, slices, partition)
    examples = slices.examples(rows)
    logits = outputs(jax.jit(task.logits), model.params, slices, examples)[:, 0]
    first, places = slices.windows[examples, 0], np.full(len(slices), -1)
    places[rows] = np.arange(len(rows))
    each = Predictions(
        image=slices.image[first],
        patient=slices.patient[first],
        site=slices.site[first],
        split=split[places[first]],
        truth=slices.targets(examples)[:, 0].astype(slices.labels.dtype),
        scores=expit(logits),
    )
    return aggregate(each, slices.study[first])
