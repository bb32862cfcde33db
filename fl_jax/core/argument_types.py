"""Checks the arguments of a call against the annotations of its function."""

import inspect
from collections.abc import Callable, Iterable, Sequence
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

WORDS = {
    **{float: "a number", int: "an integer", bool: "True or False", str: "a text"},
    **{Sequence: "a tuple", tuple: "a tuple", NoneType: "None", Callable: "a schedule"},
}


def mismatch(
    factory: Callable[..., Any], bound: inspect.BoundArguments, names: Iterable[str]
) -> str:
    """The first argument that does not fit its annotation, and what it must be; empty if all fit.

    A parameter's default always fits, and so does anything where there is no annotation.

    Args:
        factory: the function.
        bound: the arguments.
        names: of the parameters to check.
    """
    kinds = get_type_hints(factory, localns={"ArrayTree": Any})  # optax does not import this name
    for name in names:
        parameter, kind = bound.signature.parameters[name], kinds.get(name, Any)
        given = bound.arguments.get(name, parameter.default)
        several = parameter.kind == inspect.Parameter.VAR_POSITIONAL
        for value in given if several and given is not parameter.default else [given]:
            if value is not parameter.default and not _fits(value, kind):
                return f"{name}={_written(value)}: must be {_words(kind)}"
    return ""


def _written(value: Any) -> str:
    plain = isinstance(value, int | float | str | list | tuple | dict | None)
    return (
        f"{value!r:.80}" if plain and not hasattr(value, "_fields") else f"a {type(value).__name__}"
    )


def _fits(value: Any, kind: Any) -> bool:
    """Whether a value fits an annotation. True is no number, and 1 is not True."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        # A union of numbers lists bool for arrays' sake.
        return any(_fits(value, k) for k in inner if not (k is bool and float in inner))
    if kind in (float, complex):
        return hasattr(value, "dtype") or (
            isinstance(value, int | float) and not isinstance(value, bool)
        )
    if kind in (int, bool, str, NoneType):
        return type(value) is kind
    if origin in (tuple, Sequence):
        return isinstance(value, tuple | list) and all(_fits(item, inner[0]) for item in value)
    if origin is Callable:
        return callable(value)
    return kind is Any or not isinstance(kind, type) or isinstance(value, kind)


def _words(kind: Any) -> str:
    """Such as `a number or a schedule`."""
    kinds = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    if float in kinds:
        kinds = [float, *(k for k in kinds if get_origin(k) is Callable or k is NoneType)]
    known = [get_origin(k) or k for k in kinds]
    return " or ".join(WORDS.get(k, f"a {k.__name__}") for k in known)
