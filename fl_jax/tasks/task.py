"""A task is what the sites learn together: three pure functions of parameters, the same for every regime.

multi_label:  loss = sum_b mask_b mean_l [ -w_l y_bl log p_bl - (1 - y_bl) log(1 - p_bl) ] / sum_b mask_b
multi_class:  loss = sum_b mask_b sum_l [ -y_bl log softmax_l ] / sum_b mask_b
of_studies:   loss = sum_b mask_b ( mean_s of multi_label's + v times that of the study ) / sum_b mask_b

`fl_jax.tasks.losses` has others for labels, `fl_jax.tasks.mixup` mixed examples.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from fl_jax.core.keys import stream
from fl_jax.core.types import LABELS, Array, Batch, Params, RunningLoss, Study
from fl_jax.tasks.losses.cross_entropy import Losses, cross_entropy
from fl_jax.tasks.micro_batches import accumulate
from fl_jax.tasks.mixup import Mix


class Task(NamedTuple):
    """What is learned.

    Attributes:
        init: `(key) -> params`.
        loss: `(params, batch, key) -> float32[]`, the mean over the batch's real examples; the key is
            for augmentation and dropout. A `RunningLoss` where the model keeps running statistics.
        logits: `(params, inputs) -> float32[B, L]`, without augmentation; of studies [B, 1 + S, L].
    """

    init: Callable[[jax.Array], Params]
    loss: Callable[[Params, Batch, jax.Array], jax.Array]
    logits: Callable[[Params, Any], jax.Array]

    @property
    def running(self) -> bool:
        """Whether the model keeps running statistics.

        Then `init` and `logits` have variables `{'params': ..., 'batch_stats': ...}`, `loss` the parameters
        alone, and an algorithm needs `fl_jax.wrappers.batch_stats.carry`.
        """
        return isinstance(self.loss, RunningLoss)


def multi_label(
    model: nn.Module,
    example: Array,
    *,
    prepare: Callable[[Array], jax.Array] = lambda inputs: jnp.asarray(inputs, jnp.float32),
    augment: Callable[[jax.Array, Array], Array] = lambda key, inputs: inputs,
    positive_weights: Array | None = None,
    frozen: Mapping[str, Any] | None = None,
    running: bool = False,
    losses: Losses | None = None,
    mix: Mix | None = None,
    micro_batches: int = 1,
) -> Task:
    """Makes the task of predicting L binary labels with a Flax model.

    Args:
        model: maps float32[B, ...] to logits float32[B, L].
        example: inputs of one batch, [B, ...]; only shape and dtype matter.
        prepare: inputs to what the model reads, inside the jitted step, e.g. HU to windows.
        augment: `(key, inputs) -> inputs`, in training only, before `prepare`.
        positive_weights: float32[L] > 0, the loss's weight w of a positive; None for ones.
        frozen: variables of the model that are no parameters, by collection, such as the running statistics
            `batch_stats` of pretrained weights. They stay as they are, in training, too.
        running: whether batch normalisation uses a batch's own moments in training, and keeps running ones
            for prediction; for models whose `__call__` takes a batch's `mask`.
        losses: see `fl_jax.tasks.losses`; None for the cross-entropy.
        mix: of the examples of a batch, in training only, after `prepare`; None for none.
        micro_batches: in how many parts a batch's gradient is computed, see `micro_batches.accumulate`.

    Returns:
        The task; its `init` raises ValueError for a model that has other such variables.

    Raises:
        ValueError: for `micro_batches` with `running`: a batch's moments would be those of its parts.
    """
    if running and micro_batches > 1:
        raise ValueError(
            f"accumulate={micro_batches} with running statistics: a batch's moments would be those of its "
            "parts; freeze the statistics, or take a model without"
        )
    weights = jnp.ones(()) if positive_weights is None else jnp.asarray(positive_weights)
    judge = losses or cross_entropy()
    return _task(
        model,
        example,
        prepare,
        augment,
        lambda outputs, labels: judge(outputs, labels, weights),
        frozen or {},
        running,
        mix,
        micro_batches,
    )


def multi_class(
    model: nn.Module,
    example: Array,
    *,
    prepare: Callable[[Array], jax.Array] = lambda inputs: jnp.asarray(inputs, jnp.float32),
    augment: Callable[[jax.Array, Array], Array] = lambda key, inputs: inputs,
    frozen: Mapping[str, Any] | None = None,
    running: bool = False,
) -> Task:
    """Makes the task of telling L classes apart with a Flax model.

    Args:
        model: maps float32[B, ...] to logits float32[B, L], of a softmax.
        example: see `multi_label`.
        prepare: see `multi_label`.
        augment: see `multi_label`.
        frozen: see `multi_label`.
        running: see `multi_label`.

    Returns:
        The task; a batch's labels are one-hot.
    """
    return _task(
        model, example, prepare, augment, optax.softmax_cross_entropy, frozen or {}, running
    )


def of_studies(
    model: nn.Module,
    example: Study,
    *,
    positive_weights: Array | None = None,
    study_weight: float = 0.5,
) -> Task:
    """Makes the task of predicting L binary labels of every slice of a study, and of the study.

    Every study of a batch counts alike, whatever the number of its slices.

    Args:
        model: maps a `Study` to logits float32[B, 1 + S, L], the study's first; `train=True` and a key named
            `dropout` are for training.
        example: inputs of one batch; only shapes and dtypes matter, and S may be another later.
        positive_weights: float32[L] > 0, the loss's weight w of a slice's positive; None for ones.
        study_weight: v >= 0, what the study's own loss counts beside the mean of its slices'.

    Returns:
        The task; a batch's labels are float32[B, 1 + S, L] in {0, 1}, of padding -1.

    Raises:
        ValueError: when `study_weight` is out of range.
    """
    if not 0 <= study_weight < np.inf:
        raise ValueError(f"study_weight={study_weight}: must be at least 0, and finite")
    weights = jnp.ones(()) if positive_weights is None else jnp.asarray(positive_weights)

    def init(key: jax.Array) -> Params:
        return dict(model.init(key, jax.tree.map(jnp.ones_like, example)))["params"]

    def logits(params: Params, inputs: Study) -> jax.Array:
        output = model.apply({"params": params}, inputs)
        assert isinstance(output, jax.Array)
        return output

    def loss(params: Params, batch: Batch, key: jax.Array) -> jax.Array:
        study: Study = batch.inputs  # pyright: ignore[reportAssignmentType]
        outputs = model.apply({"params": params}, study, train=True, rngs={"dropout": key})
        each = optax.sigmoid_binary_cross_entropy(outputs, batch.labels)
        whole = each[:, 0].mean(-1)
        each = jnp.where(batch.labels > 0, weights * each, each)[:, 1:].mean(-1)
        real = jnp.asarray(study.mask)
        means = jnp.where(real, each, 0).sum(1) / jnp.maximum(real.sum(1), 1)
        losses = means + study_weight * whole
        return (losses * batch.mask).sum() / jnp.maximum(batch.mask.sum(), 1)

    return Task(init, loss, logits)


def _task(
    model: nn.Module,
    example: Array,
    prepare: Callable[[Array], jax.Array],
    augment: Callable[[jax.Array, Array], Array],
    losses: Callable[[jax.Array, Array], jax.Array],
    frozen: Mapping[str, Any],
    running: bool,
    mix: Mix | None = None,
    micro_batches: int = 1,
) -> Task:
    kept = {"batch_stats"} if running else set()

    def init(key: jax.Array) -> Params:
        variables = dict(model.init(key, prepare(jnp.zeros_like(example))))
        if set(variables) != {"params", *frozen, *kept}:
            raise ValueError(
                f"frozen={sorted(frozen)}, running={running}: the model has {sorted(variables)}; freeze "
                "those of pretrained weights, or keep running ones, or take a model without: "
                "norm='group', 'layer' or 'none'"
            )
        return (
            {name: variables[name] for name in ("params", *kept)} if kept else variables["params"]
        )

    def outputs(params: Params, images: jax.Array) -> jax.Array:
        variables = params if kept else {"params": params}
        output = model.apply({**variables, **frozen}, images)
        assert isinstance(output, jax.Array)
        return output

    def seen(batch: Batch, key: jax.Array) -> Batch:
        """A batch of training as the model reads it."""
        images = prepare(augment(key, batch.inputs))
        if mix is None:
            return batch._replace(inputs=images)
        mixed = mix(stream(key, "mixup"), images, batch.labels, batch.mask)
        return Batch(*mixed, batch.mask)

    def mean(found: jax.Array, batch: Batch) -> jax.Array:
        each = losses(found, batch.labels)
        return (each * batch.mask).sum() / jnp.maximum(batch.mask.sum(), 1)

    def fit(params: Params, batch: Batch) -> jax.Array:
        return mean(outputs(params, jnp.asarray(batch.inputs)), batch)

    in_parts = accumulate(fit, micro_batches) if micro_batches > 1 else fit

    def moving(
        params: Params, statistics: Any, batch: Batch, key: jax.Array
    ) -> tuple[jax.Array, Any]:
        batch = seen(batch, key)
        variables = {"params": params, "batch_stats": statistics, **frozen}
        found: Any
        found, changed = model.apply(variables, batch.inputs, batch.mask, mutable=["batch_stats"])
        return mean(found, batch), changed["batch_stats"]

    def initial() -> Any:
        """Statistics of the right shapes, whose values training does not read."""
        shapes: Any = jax.eval_shape(
            model.init, jax.random.key(0), prepare(jnp.zeros_like(example))
        )
        return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes["batch_stats"])

    return Task(
        init,
        RunningLoss(moving, initial)
        if running
        else lambda params, batch, key: in_parts(params, seen(batch, key)),
        lambda params, inputs: outputs(params, prepare(inputs)),
    )


def flipped(task: Task) -> Task:
    """Predicts with the mean of the logits of an image and of its mirror image, left and right.

    Args:
        task: of images [B, ..., H, W], as scans are.

    Returns:
        The task; training is as before.
    """

    def logits(params: Params, inputs: Array) -> jax.Array:
        return (task.logits(params, inputs) + task.logits(params, inputs[..., ::-1])) / 2

    return task._replace(logits=logits)


def positive_weights(positives: np.ndarray, examples: int, *, ceiling: float = 10.0) -> np.ndarray:
    """Weighs a positive by the number of negatives to each positive, from aggregate counts alone.

    Args:
        positives: int[L], positive examples per label, summed over the sites that train.
        examples: N, how many examples those sites have, > 0.
        ceiling: the largest weight, >= 1; a label without a positive gets it.

    Returns:
        float32[L] in [1, ceiling]: (N - n_l) / n_l, clipped.

    Raises:
        ValueError: when a count or the ceiling is out of range.
    """
    positives = np.asarray(positives)
    if examples <= 0 or (positives < 0).any() or (positives > examples).any():
        raise ValueError(
            f"positives {positives.tolist()} of {examples} examples for {LABELS}: "
            "each count must lie in 0..examples, and there must be examples"
        )
    if not 1 <= ceiling < np.inf:
        raise ValueError(f"ceiling={ceiling}: the largest weight must be finite and at least 1")
    ratio = (examples - positives) / np.maximum(positives, 1)
    return np.where(positives > 0, np.clip(ratio, 1, ceiling), ceiling).astype(np.float32)
