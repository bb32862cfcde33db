"""Fine-tuning: begin from given parameters, train some of them, and move layers at their own rates.

begin_from:   params_0 = given where there are any, the task's own elsewhere
train_only:   params = (trained, fixed);  sites train, send and aggregate `trained`; `fixed` is in the task
layer_rates:  u_l <- r_l u_l for the update u_l of each leaf whose name a pattern finds
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import optax
from flax import traverse_util

from fl_jax.core.types import Array, Batch, Params
from fl_jax.tasks.task import Task

_SEP = "/"


def begin_from(task: Task, given: Params) -> Task:
    """Makes a task that begins from given parameters.

    Args:
        task: whose parameters are nested dicts, as Flax has them.
        given: a part of them, e.g. pretrained ones without the last layer; the rest keeps its own beginning.

    Returns:
        The task; its `init` raises ValueError where `given` has a leaf that the task has not, or one of
        another shape.
    """
    given = _flat(given)

    def init(key: Any) -> Params:
        own = _flat(task.init(key))
        wrong = [n for n, leaf in given.items() if n not in own or own[n].shape != leaf.shape]
        if wrong:
            raise ValueError(f"given: {', '.join(wrong[:3])} are no parameters of the task's model")
        return _nested(own | given)

    return task._replace(init=init)


def train_only(task: Task, pattern: str, given: Params) -> Task:
    """Makes a task of which some parameters are trained and all others stay as they are.

    Guarantees: the task's parameters are the trained ones alone, so that no algorithm can send, aggregate or
    change another one; a round's `bytes` say so.

    Args:
        task: whose parameters are nested dicts, as Flax has them.
        pattern: a regular expression, searched for in each leaf's name, e.g. `^fc/`; those found are trained.
        given: a part of the parameters, with all that stay; one that is trained begins from it, too.

    Returns:
        The task. The others are constants of its functions: a program that is compiled from them holds them.

    Raises:
        ValueError: when the pattern is no regular expression; by `init`, when it finds none or all of the
            leaves, or `given` lacks one that stays.
    """
    found = _compiled(pattern)
    fixed = {name: leaf for name, leaf in _flat(given).items() if not found.search(name)}
    whole = begin_from(task, given)

    def init(key: Any) -> Params:
        everything = _flat(whole.init(key))
        trained = {name: leaf for name, leaf in everything.items() if found.search(name)}
        if not trained or len(trained) == len(everything):
            raise ValueError(
                f"pattern={pattern!r}: finds {'all' if trained else 'none'} of the model's leaves, and must "
                f"leave some and find some; there are: {', '.join(everything)}"
            )
        lacking = everything.keys() - trained.keys() - fixed.keys()
        if lacking:
            raise ValueError(
                f"given: lacks {', '.join(sorted(lacking)[:3])}, which would stay at random values; "
                f"give them, or train them: pattern={pattern!r}"
            )
        return _nested(trained)

    def joined(trained: Params) -> Params:
        return _nested(fixed | _flat(trained))

    def loss(params: Params, batch: Batch, key: Any) -> Any:
        return task.loss(joined(params), batch, key)

    def logits(params: Params, inputs: Array) -> Any:
        return task.logits(joined(params), inputs)

    return Task(init, loss, logits)


def found(pattern: str, names: Iterable[str]) -> list[str]:
    """The names that `train_only` would find by this pattern.

    Raises:
        ValueError: it is no regular expression.
    """
    return [*filter(_compiled(pattern).search, names)]


def layer_rates(
    optimizer: optax.GradientTransformation, rates: Sequence[tuple[str, float]]
) -> optax.GradientTransformation:
    """Gives layers their own learning rates, as factors of the optimiser's.

    Args:
        optimizer: whose update is scaled, weight decay included.
        rates: (pattern, factor) pairs; a leaf takes the factor of the first pattern found in its name, such
            as `layer1_0/conv1/kernel`, and 1 where none is. With 0 a leaf stays as it is, and is still sent.

    Returns:
        The optimiser; its `init` raises ValueError for a pattern that decides for no leaf.

    Raises:
        ValueError: for what is no pair, a factor that is negative or not finite, or what is no regular
            expression.
    """
    for pair in rates:
        match pair:
            case (str(), int() | float()):
                pass
            case _:
                raise ValueError(f"rates: {pair!r} is no pair such as ('^fc/', 10.0)")
    for pattern, rate in rates:
        if not 0 <= rate < float("inf"):
            raise ValueError(f"rates: {pattern!r} has {rate}: must be at least 0, and finite")
    compiled = [_compiled(pattern) for pattern, _ in rates]

    def group(tree: Params) -> Params:
        firsts = {
            name: next((str(n) for n, p in enumerate(compiled) if p.search(name)), "rest")
            for name in _flat(tree)
        }
        for number, (pattern, _) in enumerate(rates):
            if str(number) not in firsts.values():
                raise ValueError(
                    f"rates: {pattern!r} decides for none of the leaves; there are: {', '.join(firsts)}"
                )
        return _nested(firsts)

    scales = {str(n): optax.scale(rate) for n, (_, rate) in enumerate(rates)}
    return optax.chain(optimizer, optax.partition({**scales, "rest": optax.identity()}, group))


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"pattern={pattern!r}: is no regular expression: {error}") from error


def _flat(params: Params) -> dict[str, Any]:
    return traverse_util.flatten_dict(params, sep=_SEP)


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    return traverse_util.unflatten_dict(dict(flat), sep=_SEP)
