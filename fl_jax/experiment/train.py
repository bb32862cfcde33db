"""The study's arms: federated, central and local training are one code path with one budget.

An arm is a federation of one or more sites. Central training is a federation of one site that holds
everybody's training patients, a local model one of a single hospital. In every round each arm sees as
many examples as the federated arm's participating sites see together, starts from the same parameters,
and keeps the round of the highest macro AUROC on the validation patients that it may see.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from scipy.special import expit

from fl_jax.core.layouts import Round, State
from fl_jax.core.types import Batch, Params
from fl_jax.data import pipeline
from fl_jax.data.partition import Partition
from fl_jax.data.site_names import HOLDOUT
from fl_jax.data.slices import Slices
from fl_jax.evaluation.predictions import Predictions, select
from fl_jax.experiment import record
from fl_jax.experiment.arms import Arm, arms
from fl_jax.experiment.checkpoint import Store
from fl_jax.faults.fault import Fault
from fl_jax.faults.simulation import run_faulty_rounds
from fl_jax.tasks.task import Task

__all__ = [
    "Arm",
    "Model",
    "Progress",
    "arms",
    "model",
    "predictions",
    "score",
    "train",
]

MOST = 2**24
"""Numbers of a batch's inputs in prediction: 64 slices of 512 x 512."""


class Model(NamedTuple):
    """What prediction needs of a round.

    Attributes:
        params: the global model.
        personal: each site's own model, stacked: every leaf has a leading axis S; None where the algorithm
            has none.
    """

    params: Params
    personal: Any


class Progress(NamedTuple):
    """What `train` yields after each round.

    Attributes:
        record: the round as one line of `metrics.jsonl`, values that JSON can hold.
        best: the model of the best round so far.
        facts: `best_round` and its validation figures.
        restored: whether the round was read from a checkpoint and not run now.
    """

    record: dict[str, Any]
    best: Model
    facts: dict[str, Any]
    restored: bool


def model(state: State, personal: Callable[[Any, Any], Params] | None) -> Model:
    """What a state predicts with; `personal` is the algorithm's. A checkpoint holds a state and a model."""
    if personal is None:
        return Model(state.server.params, None)
    each = jax.vmap(personal, in_axes=(None, 0))(state.server, state.sites)
    return Model(state.server.params, each)


def train(
    arm: Arm,
    task: Task,
    run: Round,
    state: State,
    slices: Slices,
    store: Store,
    *,
    batch_size: int,
    seed: int,
    personal: Callable[[Any, Any], Params] | None = None,
    faults: Sequence[Fault] = (),
    min_sites: int = 0,
    void: str = "skip",
    finish: Callable[[Params], Params] | None = None,
    on_examples: Callable[[int], None] = lambda count: None,
    complain: Callable[[str], None],
) -> Iterator[Progress]:
    """Trains an arm, going on from its newest checkpoint, and saves one after every round.

    With personal models the validation figures, and so the choice of the best round, are theirs: each
    site's validation slices are scored by its own.

    Args:
        arm: what to train on.
        task: what is learned.
        run: the layout, see `fl_jax.core.layouts`.
        state: the state before the first round.
        slices: the dataset.
        store: where the checkpoints are.
        batch_size: B of a local step.
        seed: of the order of the examples.
        personal: the algorithm's, see `types.Algorithm`; None where a site uses the global model.
        faults: what goes wrong at the sites, see `faults.simulation`.
        min_sites: with fewer messages taken, a round is void.
        void: `'skip'` or `'stop'` at a void round.
        finish: what becomes of the best round's global model when the last round is done; its validation
            figures stay those of before.
        on_examples: called with the number of real examples of every batch as it is handed out.
        complain: called with a sentence about every damaged checkpoint.

    Yields:
        One `Progress` a round; first the restored one, if there is a checkpoint.

    Raises:
        ValueError: at a void round when it shall stop; the rounds before it are saved.
        OSError: no room for a checkpoint; the rounds before it are kept.
    """

    current_model = jax.jit(partial(model, personal=personal))
    held = (state, current_model(state))
    store.check_room(held)
    facts: dict[str, Any] = {"best_round": 0, "best_val_macro_auroc": None, "best_val_loss": None}
    restored = store.restore(held, complain=complain)
    if restored is not None:
        _, held, facts = restored
        yield Progress(facts["record"], held[1], facts, restored=True)
    state, best = held
    predict = jax.jit(task.logits)

    def batches(round: int, site: int) -> Iterator[Batch]:
        for batch in pipeline.train_batches(
            slices,
            arm.train[site],
            batch_size=batch_size,
            examples=int(arm.examples[round, site]),
            seed=seed,
            round_index=round,
            site=arm.sites[site],
            balanced=arm.balanced,
        ):
            on_examples(int(batch.mask.sum()))
            yield batch

    before = time.monotonic()
    for new, metrics in run_faulty_rounds(
        run,
        state,
        until=len(arm.examples),
        batches=batches,
        participants=lambda round: arm.participating[round],
        faults=faults,
        steps=lambda round, site: -(-int(arm.examples[round, site]) // batch_size),
        min_sites=min_sites,
        void=void,
    ):
        seconds = time.monotonic() - before
        current = current_model(new)
        logits = _score_each(predict, current, arm, slices, arm.validation)
        figures = record.validation(logits, slices.labels[arm.validation])
        done = int(new.round)
        line = record.of_round(arm, done, metrics, seconds, faults) | figures
        if record.better(figures, facts):
            best = current
            facts = facts | {"best_round": done}
            facts = facts | {f"best_{name}": value for name, value in figures.items()}
        facts = facts | {"record": line}
        if finish is not None and done == len(arm.examples):
            best = best._replace(params=finish(best.params))
        store.save(done, (new, best), facts)
        yield Progress(line, best, facts, restored=False)
        before = time.monotonic()


def score(
    predict: Callable[[Params, Any], jax.Array],
    params: Params,
    slices: Slices,
    rows: np.ndarray,
    *,
    batch_size: int = 64,
) -> np.ndarray:
    """Returns the logits of some slices, float64[n, L], in the order of `rows`."""
    examples = slices.examples(rows)
    found = answers(predict, params, slices, examples, batch_size=batch_size)
    return slices.slice_logits(found, examples, rows)


def answers(
    predict: Callable[[Params, Any], jax.Array],
    params: Params,
    slices: Slices,
    examples: np.ndarray,
    *,
    batch_size: int = 64,
) -> np.ndarray:
    """Returns what the model says of some examples, float64[n, ...]: logits [L], or a study's [1 + S, L].

    Studies of images go in fewer at a time, so that a batch is within `MOST`.
    """
    batch_size = max(1, min(batch_size, MOST // math.prod(slices.input_shape)))
    found = [
        np.asarray(predict(params, batch.inputs))[batch.mask > 0]
        for batch in pipeline.eval_batches(slices, examples, batch_size=batch_size)
    ]
    return np.concatenate(found).astype(np.float64)


def predictions(
    arm: Arm, task: Task, model: Model, slices: Slices, partition: Partition
) -> dict[str, Predictions]:
    """Predicts the arm's own validation slices, every site's test slices and the hold-out.

    Returns:
        By name: the arm's own for the global model and, where the sites have models of their own,
        `personal` for these, each on its own site's slices. The hold-out's patients belong to no site, so
        `personal` is without them.
    """
    rows, split = judged(arm, slices, partition)
    predict = jax.jit(task.logits)
    found = Predictions(
        image=slices.image[rows],
        patient=slices.patient[rows],
        site=slices.site[rows],
        split=split,
        truth=slices.labels[rows],
        scores=expit(score(predict, model.params, slices, rows)),
    )
    if model.personal is None:
        return {arm.name: found}
    own = found.split != HOLDOUT
    scores = expit(_score_each(predict, model, arm, slices, rows[own]))
    return {arm.name: found, "personal": select(found, own)._replace(scores=scores)}


def judged(arm: Arm, slices: Slices, partition: Partition) -> tuple[np.ndarray, np.ndarray]:
    """The rows that an arm is judged on, int[n], and the split of each."""
    slices.require_labels()
    parts = {
        "validation": arm.validation,
        "test": partition.rows(slices, "test"),
        HOLDOUT: partition.rows(slices, HOLDOUT),
    }
    split = np.repeat(list(parts), [len(part) for part in parts.values()])
    return np.concatenate(list(parts.values())), split


def _score_each(
    predict: Callable[[Params, Any], jax.Array],
    model: Model,
    arm: Arm,
    slices: Slices,
    rows: np.ndarray,
) -> np.ndarray:
    """The logits of each slice by its site's own model; by the global one where there is no other."""
    if model.personal is None:
        return score(predict, model.params, slices, rows)
    logits = np.empty(slices.labels[rows].shape)
    for number, site in enumerate(arm.sites):
        here = slices.site[rows] == site
        if here.any():
            own = jax.tree.map(lambda leaf, number=number: leaf[number], model.personal)
            logits[here] = score(predict, own, slices, rows[here])
    return logits
