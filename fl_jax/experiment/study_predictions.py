"""What a head that reads studies says of each as a whole."""

import jax
import numpy as np
from scipy.special import expit

from fl_jax.data.partition import Partition
from fl_jax.data.studies import Studies
from fl_jax.evaluation.patient_level import aggregate
from fl_jax.evaluation.predictions import Predictions
from fl_jax.experiment.arms import Arm
from fl_jax.experiment.train import Model, answers, judged
from fl_jax.tasks.task import Task


def predictions(
    arm: Arm, task: Task, model: Model, slices: Studies, partition: Partition
) -> Predictions:
    """Predicts whole studies by the global model's study logit, for the patients of `study.predictions`.

    Returns:
        Named by study; its score is the largest of its examples', its truth whether a slice is positive.
    """
    rows, split = judged(arm, slices, partition)
    examples = slices.examples(rows)
    found = answers(jax.jit(task.logits), model.params, slices, examples)[:, 0]
    first, places = slices.windows[examples, 0], np.full(len(slices), -1)
    places[rows] = np.arange(len(rows))
    each = Predictions(
        image=slices.image[first],
        patient=slices.patient[first],
        site=slices.site[first],
        split=split[places[first]],
        truth=slices.targets(examples)[:, 0].astype(slices.labels.dtype),
        scores=expit(found),
    )
    return aggregate(each, slices.study[first])
