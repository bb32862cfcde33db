"""One flaw of the published code against the same experiment without it; see `configs/as_published.py`.

The config documents the fields of a run and the flaws. Models that several flaws need are trained once, and
every training resumes from its newest checkpoint.

Results: `published`, `right`, their `difference`, and its `samples` over resampled patients; the same
prefixed with `untouched_`, on the hold-out patients, where a flaw changes both test set and model;
`coverage_published` and `coverage_right` of the intervals.
"""

import dataclasses
import hashlib
import json
import threading
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from numpy.typing import NDArray

from fl_jax.core.types import Params
from fl_jax.data.slices import Slices
from fl_jax.evaluation import bootstrap, roc
from fl_jax.evaluation.predictions import Predictions
from fl_jax.experiment import data, predict, prepare, rounds, setup
from fl_jax.experiment import model as models
from fl_jax.experiment.arms import Arm
from fl_jax.experiment.config import Config
from fl_jax.experiment.runners import flaws
from fl_jax.tasks.task import Task
from fl_jax.workdir import Workdir

Settings = dict[str, Any]
Floats = NDArray[np.float64]


class Scored(NamedTuple):
    """Scores of some rows of the dataset: int[n], float64[n, L] logits."""

    rows: np.ndarray
    logits: Floats


def published(
    seeds: Sequence[int], folder: Path | None = None
) -> Callable[[Settings, int], dict[str, Any]]:
    """Makes the function that does one run.

    Args:
        seeds: not used.
        folder: for cohort, dataset and checkpoints.

    Returns:
        `(settings, seed) -> results`; one thread trains at a time.

    Raises:
        ValueError: folder is None.
    """
    del seeds
    if folder is None:
        raise ValueError("folder=None: published() needs a folder for cohort and checkpoints")
    lock, home = threading.Lock(), folder

    @lru_cache(maxsize=4)
    def trainings(text: str, seed: int) -> Trainings:
        return Trainings(json.loads(text), seed, home)

    def run(settings: Settings, seed: int) -> dict[str, Any]:
        on = [name for name in FLAWS if settings[name]]
        if len(on) != 1:
            raise ValueError(f"a run has one flaw, this has {on}; there are: {', '.join(FLAWS)}")
        rest = {name: value for name, value in settings.items() if name not in FLAWS}
        with lock:
            return FLAWS[on[0]](trainings(json.dumps(rest, sort_keys=True), seed))

    return run


class Trainings:
    """The experiment of one seed: trains models and evaluates them."""

    def __init__(self, settings: Settings, seed: int, folder: Path) -> None:
        self.settings = settings
        config = Config.of(settings["study"] | {"seed": seed})
        self.config = config.replace(data_dir=str(Workdir(folder).data))
        prepare.prepare_cohort(
            dataclasses.asdict(self.config.cohort),
            Workdir(folder).cohort,
            data_dir=Workdir(folder).data,
            image_size=self.config.image_size,
            spacing_mm=self.config.spacing_mm,
            max_refused=self.config.max_refused,
        )
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]
        self._folder = folder / digest / str(seed)
        Workdir(self._folder).claim()
        loaded = data.load(self.config, Workdir(self._folder))
        self.right = loaded._replace(slices=loaded.slices.in_memory())
        made = models.network(self.config, loaded.slices.input_shape)
        self._predict = jax.jit(made.task.logits)
        self._models: dict[str, Params] = {}

    @property
    def untouched(self) -> np.ndarray:
        """Rows of the hold-out patients."""
        return self.right.partition.rows(self.right.slices, "holdout")

    def model(
        self,
        name: str,
        arm: Arm,
        *,
        slices: Slices | None = None,
        task: Task | None = None,
        batch_size: int | None = None,
        start: Params | None = None,
    ) -> Params:
        """Trains an arm like `launch.train`, once per name; arguments replace the experiment's."""
        if name not in self._models:
            slices = slices or self.right.slices
            if task is None:
                task, _ = setup.make_task(self.config, Workdir(self._folder), slices, arm)
            if start is not None:
                task = task._replace(init=lambda key: start)
            config = self.config.replace(batch_size=batch_size or self.config.batch_size)
            training = setup.prepare(config, arm, task, slices, self.right.key)
            last = rounds.train_to_end(training, self._folder / name)
            self._models[name] = last.best.params
        return self._models[name]

    def federated(self) -> Params:
        """The federated model without flaws."""
        return self.model("federated", self.right.arms["federated"])

    def score(self, params: Params, rows: np.ndarray, slices: Slices | None = None) -> Scored:
        """Logits for rows of `slices`, by default of the unchanged dataset."""
        return Scored(rows, predict.score(self._predict, params, slices or self.right.slices, rows))

    def measure(self, scored: Scored, patients: np.ndarray) -> bootstrap.Resampled:
        """Macro AUROC with resamples of `patients`, sorted str[G]; every call uses the same ones."""
        slices = self.right.slices
        first = dict(zip(slices.patient.tolist(), slices.site.tolist(), strict=True))
        weights = bootstrap.patient_weights(
            len(patients),
            resamples=self.settings["resamples"],
            seed=0,
            strata=[first[p] for p in patients.tolist()],
        )
        groups = np.searchsorted(patients, slices.patient[scored.rows])
        truth = slices.labels[scored.rows]
        both = np.flatnonzero(truth.any(0) & ~truth.all(0))
        ranked = [roc.rank(truth[:, k], scored.logits[:, k], groups, len(patients)) for k in both]
        statistic = lambda w: np.mean([[roc.areas(r, w)[0]] for r in ranked], axis=0)  # noqa: E731
        return bootstrap.bootstrap(statistic, ["auroc"], weights)

    def on_untouched(self, params: Params) -> bootstrap.Resampled:
        """A model's macro AUROC on the hold-out."""
        return self.measure(self.score(params, self.untouched), self.patients(self.untouched))

    def patients(self, rows: np.ndarray) -> np.ndarray:
        """The patients of some rows, sorted."""
        return np.unique(self.right.slices.patient[rows])


def _compared(
    flawed: bootstrap.Resampled, right: bootstrap.Resampled, prefix: str = ""
) -> dict[str, Any]:
    differ = bootstrap.difference(flawed, right)
    return {
        f"{prefix}published": float(flawed.estimate[0]),
        f"{prefix}right": float(right.estimate[0]),
        f"{prefix}difference": float(differ.estimate[0]),
        f"{prefix}samples": differ.samples[0].tolist(),
    }


def _image_level_split(of: Trainings) -> dict[str, Any]:
    right = of.right
    arm, test = flaws.split_by_image(
        right.slices, right.partition, right.arms["federated"], of.config.seed
    )
    flawed = of.model("image_level_split", arm)
    right_test = right.partition.rows(right.slices, "test")
    everyone = of.patients(np.flatnonzero(right.slices.site != "holdout"))
    printed = of.measure(of.score(flawed, test), everyone)
    honest = of.measure(of.score(of.federated(), right_test), everyone)
    return _compared(printed, honest) | _compared(
        of.on_untouched(flawed), of.on_untouched(of.federated()), "untouched_"
    )


def _unequal_budgets(of: Trainings) -> dict[str, Any]:
    arm, federated = of.right.arms["central"], of.on_untouched(of.federated())
    more = np.rint(arm.examples * of.settings["central_budget"]).astype(arm.examples.dtype)
    batch = of.settings["central_batch"]
    flawed = of.model("unequal_budgets", arm._replace(examples=more), batch_size=batch)
    central = of.on_untouched(of.model("central", arm))
    return _compared(
        bootstrap.difference(federated, of.on_untouched(flawed)),
        bootstrap.difference(federated, central),
    )


def _silent_zero_images(of: Trainings) -> dict[str, Any]:
    slices, arm = of.right.slices, of.right.arms["federated"]
    lost = flaws.unreadable(len(slices), of.settings["unreadable"], of.config.seed)
    zeros = flaws.zeroed(slices, lost)
    flawed = of.model("silent_zero_images", arm, slices=zeros)
    right = of.model("refused", flaws.without(arm, lost))
    patients, readable = of.patients(of.untouched), of.untouched[~lost[of.untouched]]
    printed = of.measure(of.score(flawed, of.untouched, zeros), patients)
    honest = of.measure(of.score(right, readable), patients)
    return _compared(printed, honest) | _compared(
        of.on_untouched(flawed), of.on_untouched(right), "untouched_"
    )


def _local_from_federated(of: Trainings) -> dict[str, Any]:
    start = of.federated()
    federated, gains = of.on_untouched(start), []
    for trained_alone in (False, True):
        models = []
        for site in of.right.partition.sites:
            arm = of.right.arms[f"local_{site}"]
            if trained_alone:
                models.append(of.model(f"local_{site}", arm))
            else:
                again = flaws.one_round(arm)
                models.append(of.model(f"from_federated_{site}", again, start=start))
        measured = [of.on_untouched(model) for model in models]
        mean = federated._replace(
            estimate=np.mean([each.estimate for each in measured], axis=0),
            samples=np.mean([each.samples for each in measured], axis=0),
        )
        gains.append(bootstrap.difference(federated, mean))
    return _compared(*gains)


def _naive_intervals(of: Trainings) -> dict[str, Any]:
    rows, slices = of.untouched, of.right.slices
    scored = of.score(of.federated(), rows)
    data = Predictions(
        image=slices.image[rows],
        patient=slices.patient[rows],
        site=slices.site[rows],
        split=np.full(len(rows), "holdout"),
        truth=slices.labels[rows],
        scores=scored.logits,
    )
    return flaws.coverage(data, resamples=of.settings["resamples"], seed=of.config.seed)


def _bleed_free_weights(of: Trainings) -> dict[str, Any]:
    arm, slices = of.right.arms["federated"], of.right.slices
    weights = flaws.bleed_free_weights(
        slices.labels[np.concatenate(arm.train)], ceiling=of.config.positive_weight_ceiling
    )
    task = models.network(of.config, slices.input_shape, weights).task
    flawed = of.model("bleed_free_weights", arm, task=task)
    return _compared(of.on_untouched(flawed), of.on_untouched(of.federated()))


FLAWS: dict[str, Callable[[Trainings], dict[str, Any]]] = {
    "image_level_split": _image_level_split,
    "unequal_budgets": _unequal_budgets,
    "silent_zero_images": _silent_zero_images,
    "local_from_federated": _local_from_federated,
    "naive_intervals": _naive_intervals,
    "bleed_free_weights": _bleed_free_weights,
}
