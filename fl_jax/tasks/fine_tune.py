"""Fine-tuning: pretrained initialisation, frozen layers, and learning rates per layer.

initialize_from:  params_0 = pretrained where available, the task's initialisation elsewhere
train_only:       params = (trained, frozen);  sites train, send and aggregate `trained` alone
layer_rates:      u_l <- r_l u_l for the update u_l of each leaf that a pattern matches
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import optax
from flax import traverse_util

from fl_jax.core.types import Array, Batch, Params
from fl_jax.tasks.task import Task

_SEP = "/"
LONGEST, MOST_REPETITIONS, MOST_GROUPS = 200, 3, 4
"""Of a pattern, which may come with a model from elsewhere; see `_compiled`."""


def initialize_from(task: Task, pretrained: Params) -> Task:
    """Initialises a task from pretrained parameters.

    Args:
        task: with parameters in nested dicts, as in Flax.
        pretrained: some of the parameters, e.g. without the last layer; the others keep the task's
            initialisation.

    Returns:
        The task; its `init` raises ValueError when `pretrained` has a leaf that the task does not have, or of
        another shape.
    """
    flat = _flat(pretrained)

    def init(key: Any) -> Params:
        initial = _flat(task.init(key))
        wrong = [n for n, x in flat.items() if n not in initial or initial[n].shape != x.shape]
        if wrong:
            raise ValueError(
                f"pretrained: {', '.join(wrong[:3])} are no parameters of the model, or have another shape"
            )
        return _nested(initial | flat)

    return task._replace(init=init)


def train_only(task: Task, pattern: str, pretrained: Params) -> Task:
    """Trains some of a task's parameters and freezes the others.

    Guarantees: the task's parameters are the trained ones alone, so no algorithm can send, aggregate or
    change the others; the metric `bytes` shows it.

    Args:
        task: with parameters in nested dicts, as in Flax.
        pattern: a regular expression, searched for in each leaf's name, e.g. `^fc/`; matches are trained.
        pretrained: parameters, with all that are frozen; trained leaves are initialised from it, too.

    Returns:
        The task. Its functions close over the frozen parameters, so compiled programs contain them.

    Raises:
        ValueError: when the pattern is no regular expression; by `init`, when it matches none or all of the
            leaves, or `pretrained` lacks a frozen one.
    """
    matches = _compiled(pattern).search
    frozen = {name: leaf for name, leaf in _flat(pretrained).items() if not matches(name)}
    base = initialize_from(task, pretrained)

    def init(key: Any) -> Params:
        params = _flat(base.init(key))
        trained = {name: leaf for name, leaf in params.items() if matches(name)}
        if not trained or len(trained) == len(params):
            raise ValueError(
                f"pattern={pattern!r}: matches {'all' if trained else 'none'} of the model's leaves; it must "
                f"match some and leave some; there are: {', '.join(params)}"
            )
        lacking = params.keys() - trained.keys() - frozen.keys()
        if lacking:
            raise ValueError(
                f"pretrained: lacks {', '.join(sorted(lacking)[:3])}, which would stay at random values; "
                f"add them, or train them: pattern={pattern!r}"
            )
        return _nested(trained)

    def merge(trained: Params) -> Params:
        return _nested(frozen | _flat(trained))

    def loss(params: Params, batch: Batch, key: Any) -> Any:
        return task.loss(merge(params), batch, key)

    def logits(params: Params, inputs: Array) -> Any:
        return task.logits(merge(params), inputs)

    return Task(init, loss, logits)


def matching(pattern: str, names: Iterable[str]) -> list[str]:
    """Returns the names that `train_only` would train.

    >>> matching("^fc/", ["conv1/kernel", "fc/bias", "fc/kernel"])
    ['fc/bias', 'fc/kernel']
    """
    return [*filter(_compiled(pattern).search, names)]


def layer_rates(
    optimizer: optax.GradientTransformation, rates: Sequence[tuple[str, float]]
) -> optax.GradientTransformation:
    """Scales the learning rate by layer.

    Args:
        optimizer: whose update is scaled, weight decay included.
        rates: (pattern, factor) pairs; the first pattern that matches a leaf's name, such as
            `layer1_0/conv1/kernel`, sets its factor; else 1. A leaf with factor 0 stays fixed, and is sent.

    Returns:
        The optimiser; its `init` raises ValueError for a pattern that determines no leaf's factor.

    Raises:
        ValueError: when an entry is no pair, a factor is negative or not finite, or a pattern is no regular
            expression.

    >>> import jax.numpy as jnp
    >>> params = {"backbone": {"w": jnp.float32(0)}, "head": {"w": jnp.float32(0)}}
    >>> sgd = layer_rates(optax.sgd(1.0), [("^backbone/", 0.25)])
    >>> gradient = {"backbone": {"w": jnp.float32(1)}, "head": {"w": jnp.float32(1)}}
    >>> updates, _ = sgd.update(gradient, sgd.init(params), params)
    >>> float(updates["backbone"]["w"]), float(updates["head"]["w"])
    (-0.25, -1.0)
    """
    for pair in rates:
        match pair:
            case (str(), int() | float()):
                pass
            case _:
                raise ValueError(f"rates: {pair!r} is no pair, such as ('^fc/', 10.0)")
    for pattern, rate in rates:
        if not 0 <= rate < float("inf"):
            raise ValueError(
                f"rates: {pattern!r} has the factor {rate}: must be at least 0, and finite"
            )
    compiled = [_compiled(pattern) for pattern, _ in rates]

    def group(tree: Params) -> Params:
        groups = {
            name: next((str(n) for n, p in enumerate(compiled) if p.search(name)), "rest")
            for name in _flat(tree)
        }
        for number, (pattern, _) in enumerate(rates):
            if str(number) not in groups.values():
                raise ValueError(
                    f"rates: {pattern!r} determines the factor of no leaf; there are: {', '.join(groups)}"
                )
        return _nested(groups)

    scales = {str(n): optax.scale(rate) for n, (_, rate) in enumerate(rates)}
    return optax.chain(optimizer, optax.partition({**scales, "rest": optax.identity()}, group))


def _compiled(pattern: str) -> re.Pattern[str]:
    """A pattern whose search takes little time on any name: it multiplies by repetitions and groups."""
    if (
        len(pattern) > LONGEST
        or re.search(r"\)[*+{]", pattern)
        or sum(map(pattern.count, "*+?{")) > MOST_REPETITIONS
        or pattern.count("(") > MOST_GROUPS
    ):
        raise ValueError(
            f"pattern={pattern!r:.200}: repeats a group, or has over {LONGEST} characters, "
            f"{MOST_REPETITIONS} repetitions or {MOST_GROUPS} groups; simplify it, such as '^(conv1|bn1)'"
        )
    try:
        return re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"pattern={pattern!r}: is no regular expression: {error}") from error


def _flat(params: Params) -> dict[str, Any]:
    return traverse_util.flatten_dict(params, sep=_SEP)


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    return traverse_util.unflatten_dict(dict(flat), sep=_SEP)
