"""Trains an arm round by round: federated, central and local training are one code path.

Central training is a federation of one site that has all training patients; local training is a federation
of one hospital. All arms start from the same parameters and see as many examples per round as the federated
arm's participants. Each arm keeps the round with the best macro AUROC on its validation patients.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax

from fl_jax.core.layouts import Round, State
from fl_jax.core.rounds import TooFewError
from fl_jax.core.types import Batch, Params
from fl_jax.data import pipeline
from fl_jax.data.slices import Slices
from fl_jax.experiment import record
from fl_jax.experiment.arms import Arm
from fl_jax.experiment.checkpoint import Store
from fl_jax.experiment.predict import Model, model_of, score_by_site
from fl_jax.experiment.reporter import SILENT, Reporter
from fl_jax.faults.fault import Fault
from fl_jax.faults.simulation import run_faulty_rounds
from fl_jax.tasks.task import Task


class Training(NamedTuple):
    """An arm that is ready to train.

    Attributes:
        arm: sites, examples and participation.
        task: the arm's.
        slices: the dataset.
        run: one round in its layout.
        state: before the first round.
        batch_size: B of a local step.
        seed: of the order of examples.
        personal: the algorithm's; None if sites use the global model.
        faults: what goes wrong at the sites.
        min_sites: a round with fewer accepted messages is void.
        void: `skip` a void round, or `stop`.
        finish: maps the best round's parameters to the final model's after the last round; None keeps them.
    """

    arm: Arm
    task: Task
    slices: Slices
    run: Round
    state: State
    batch_size: int
    seed: int
    personal: Callable[[Any, Any], Params] | None = None
    faults: Sequence[Fault] = ()
    min_sites: int = 0
    void: str = "skip"
    finish: Callable[[Params], Params] | None = None

    @property
    def parameters(self) -> int:
        """Number of the model's parameters."""
        return sum(leaf.size for leaf in jax.tree.leaves(self.state.server.params))


class Progress(NamedTuple):
    """A finished round.

    Attributes:
        record: its line of `metrics.jsonl`.
        best: the model of the best round so far.
        facts: `best_round` and its validation figures.
        restored: whether it was read from a checkpoint.
    """

    record: dict[str, Any]
    best: Model
    facts: dict[str, Any]
    restored: bool


class Saved(NamedTuple):
    """The tree of a checkpoint.

    Attributes:
        state: after the round.
        best: the model of the best round so far.
    """

    state: State
    best: Model


def train_to_end(training: Training, folder: Path) -> Progress:
    """Trains an arm to its last round, resuming from the checkpoints in `folder`."""
    return deque(train(training, Store(folder)), maxlen=1).pop()


def train(
    training: Training,
    store: Store,
    *,
    checkpoint_every: int = 1,
    reporter: Reporter = SILENT,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[Progress]:
    """Trains an arm, resuming from its newest checkpoint.

    With personal models, the validation figures, and so the best round, are those of the personal models.

    Args:
        training: the arm.
        store: its checkpoints.
        checkpoint_every: rounds between checkpoints; the last round is always saved.
        reporter: gets the examples of every batch and a message for every damaged checkpoint.
        stop: called after every round; if it returns True, the round is saved and training ends.

    Yields:
        A `Progress` for the restored round, if there is a checkpoint, then for every round.

    Raises:
        ValueError: a round is void and `training.void` is `stop`; the rounds before it are saved.
        OSError: no space for a checkpoint; earlier ones are kept.
    """
    arm, slices, last = training.arm, training.slices, len(training.arm.examples)
    current_model = jax.jit(partial(model_of, personal=training.personal))
    saved = Saved(training.state, current_model(training.state))
    store.check_room(saved)
    facts: dict[str, Any] = {"best_round": 0, "best_val_macro_auroc": None, "best_val_loss": None}
    restored = store.restore(saved, reporter)
    if restored is not None:
        _, saved, facts = restored
        yield Progress(facts["record"], saved.best, facts, restored=True)
        if stop():
            return
    state, best = saved
    predict = jax.jit(training.task.logits)

    reported: set[tuple[int, int]] = set()

    def batches(number: int, site: int) -> Iterator[Batch]:
        is_new = (
            number,
            site,
        ) not in reported  # an algorithm with a first exchange takes them twice
        reported.add((number, site))
        for batch in pipeline.train_batches(
            slices,
            arm.train[site],
            batch_size=training.batch_size,
            examples=int(arm.examples[number, site]),
            seed=training.seed,
            round_index=number,
            site=arm.sites[site],
            balanced=arm.balanced,
        ):
            if is_new:
                reporter.examples_seen(arm.name, int(batch.mask.sum()))
            yield batch

    results = run_faulty_rounds(
        training.run,
        state,
        until=last,
        batches=batches,
        participants=lambda number: arm.participating[number],
        faults=training.faults,
        steps=lambda number, site: -(-int(arm.examples[number, site]) // training.batch_size),
        min_sites=training.min_sites,
        void=training.void,
    )
    unsaved: tuple[int, Saved, dict[str, Any]] | None = None
    before = time.monotonic()
    try:
        for new, metrics in results:
            seconds = time.monotonic() - before
            current = current_model(new)
            logits = score_by_site(predict, current, arm, slices, arm.validation)
            figures = record.validation(logits, slices.labels[arm.validation])
            number = int(new.round)
            line = record.of_round(arm, number, metrics, seconds, training.faults) | figures
            if record.better(figures, facts):
                best = current
                facts = facts | {"best_round": number}
                facts = facts | {f"best_{name}": value for name, value in figures.items()}
            facts = facts | {"record": line}
            if training.finish is not None and number == last:
                best = best._replace(params=training.finish(best.params))
            unsaved = (number, Saved(new, best), facts)
            if number == last or number % checkpoint_every == 0 or stop():
                store.save(*unsaved)
                unsaved = None
            yield Progress(line, best, facts, restored=False)
            if unsaved is None and stop():
                return
            before = time.monotonic()
    except TooFewError:
        if unsaved is not None:
            store.save(*unsaved)
        raise
