"""Specs: a string such as `'sgd(0.1, momentum=0.9)'` selects and configures a plug-in.

`ml_collections` refuses keys that a config does not define, so the arguments of plug-ins travel in one
string. It is parsed as a literal call, never evaluated, and logged verbatim.
"""

import ast
import difflib
import importlib
import inspect
import math
import pkgutil
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

import optax

from fl_jax.core import argument_types

LONGEST, DEEPEST = 1000, 8
"""Largest number of characters of a spec, and of calls within calls."""
LARGEST = 2**31 - 1
"""Largest integer: a number of sites or steps beyond it is a typing error, and allocating for it a crash."""


class Spec(NamedTuple):
    """A parsed call: a name and literal arguments, which may be `Spec`s themselves."""

    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


def parse(text: str, values: Mapping[str, Any] | None = None) -> Spec:
    """Parses `'name'` or `'name(1, key=2.0, nested=other(3))'`.

    Args:
        text: a Python call whose arguments are literals or nested calls.
        values: values of bare names among the arguments, such as a traced learning rate; None for none.

    >>> parse("krum(byzantine=1)")
    Spec(name='krum', args=(), kwargs={'byzantine': 1})
    """
    if len(text) > LONGEST:
        raise ValueError(f"{text[:40]!r}...: {len(text)} characters; a spec has at most {LONGEST}")
    try:
        if not text.isascii():  # Python would read many other letters and digits as ASCII ones
            raise ValueError("has characters other than ASCII")
        return _spec(ast.parse(text.strip(), mode="eval").body, values or {}, 1)
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
        why = error.args[0] if type(error) is ValueError else "is not Python"
        raise ValueError(
            f"{text!r}: not a literal call ({why}): write it like 'fed_avg(keep_optimizer=True)'"
        ) from error


def _spec(node: ast.expr, values: Mapping[str, Any], depth: int) -> Spec:
    if isinstance(node, ast.Name):
        return Spec(node.id, (), {})
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
        raise ValueError("no name and parentheses")
    if depth > DEEPEST:
        raise ValueError(f"more than {DEEPEST} calls within each other")
    kwargs: dict[str, Any] = {}
    for keyword in node.keywords:
        if keyword.arg is None or keyword.arg in kwargs:
            raise ValueError(f"{keyword.arg} is repeated" if keyword.arg else "has **")
        kwargs[keyword.arg] = _value(keyword.value, values, depth)
    return Spec(node.func.id, tuple(_value(a, values, depth) for a in node.args), kwargs)


def _value(node: ast.expr, values: Mapping[str, Any], depth: int) -> Any:
    if isinstance(node, ast.Call):
        return _spec(node, values, depth + 1)
    if isinstance(node, ast.Name) and node.id in values:
        return values[node.id]
    try:
        literal = ast.literal_eval(node)
    except ValueError:
        raise ValueError(f"{ast.unparse(node)[:40]} is no literal") from None
    _check_literal(literal)
    return literal


def _check_literal(value: Any) -> None:
    if isinstance(value, tuple | list | dict):
        items: Iterable[Any] = [*value, *value.values()] if isinstance(value, dict) else value
        for item in items:
            _check_literal(item)
    elif isinstance(value, int | float):
        if not (math.isfinite(value) if isinstance(value, float) else abs(value) <= LARGEST):
            raise ValueError(f"a number is not finite, or an integer above {LARGEST}")
    elif not isinstance(value, str | None):
        raise ValueError(f"a value of type {type(value).__name__}")


def build(text: str, package: str, *context: Any, values: Mapping[str, Any] | None = None) -> Any:
    """Calls the plug-in `package.<name>.<name>`, a function named like its file.

    Args:
        text: a spec, see `parse`. A nested call is a plug-in of the same package, with the same context,
            or an optax transformation.
        package: the plug-ins' package, such as `'fl_jax.algorithms'`.
        *context: leading arguments from the caller, such as the loss.
        values: see `parse`.

    Raises:
        ValueError: for an unknown name (the message lists the known ones), a nested name that exists in both
            the package and optax, or invalid arguments (the message has the signature).
    """
    spec = parse(text, values)
    if plug_in(package, spec.name) is None:
        raise ValueError(f"{text!r}: no {spec.name!r} in {package}; {_known(package, spec.name)}")
    return _plug_in(text, spec, package, context)


def transformation(
    text: str, values: Mapping[str, Any] | None = None
) -> optax.GradientTransformation:
    """Builds an optax transformation from a spec such as `'adam(3e-4)'` or `'sgd(0.1, momentum=0.9)'`.

    Args:
        text: a spec; a nested call is a transformation or an optax schedule, such as
            `'sgd(cosine_decay_schedule(0.1, 500))'`, which counts optimiser updates.
        values: see `parse`.

    Raises:
        ValueError: for a name unknown to optax, or invalid arguments.
    """
    return _transformation(text, parse(text, values))


def schedule(text: str, values: Mapping[str, Any] | None = None) -> optax.Schedule:
    """Builds an optax schedule from a spec such as `'cosine_decay_schedule(1.0, 24)'`.

    Args:
        text: a spec.
        values: see `parse`.

    Raises:
        ValueError: for a name unknown to `optax.schedules`, or invalid arguments.
    """
    return _schedule(text, parse(text, values))


def names(package: str) -> list[str]:
    """The plug-ins of a package, sorted: modules with a function of the same name."""
    modules = [m.name for m in pkgutil.iter_modules(importlib.import_module(package).__path__)]
    return sorted(name for name in modules if plug_in(package, name) is not None)


def plug_in(package: str, name: str) -> Callable[..., Any] | None:
    """The function `package.<name>.<name>`, or None."""
    if name.startswith("_"):
        return None
    try:
        module = importlib.import_module(f"{package}.{name}")
    except ModuleNotFoundError as error:
        if error.name == f"{package}.{name}":
            return None
        raise
    factory = getattr(module, name, None)
    return factory if inspect.isfunction(factory) else None


def _known(package: str, name: str) -> str:
    known = names(package)
    return f"{_meant(name, known)}there are: {', '.join(known)}"


def _meant(name: str, known: Collection[str]) -> str:
    """`did you mean ...? `, if a known name is similar."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {near[0]}? " if near else ""


def _plug_in(text: str, spec: Spec, package: str, context: tuple[Any, ...]) -> Any:
    def nested(inner: Spec) -> Any:
        in_package, in_optax = plug_in(package, inner.name) is not None, hasattr(optax, inner.name)
        if in_package and in_optax:
            raise ValueError(f"{text!r}: both {package} and optax have {inner.name!r}; rename ours")
        if not (in_package or in_optax):
            raise ValueError(
                f"{text!r}: no {inner.name!r} in optax or {package}; {_known(package, inner.name)}"
            )
        if in_package:
            return _plug_in(text, inner, package, context)
        return _transformation(text, inner)

    factory = plug_in(package, spec.name)
    assert factory is not None
    return _call(text, factory, spec, nested, context)


def _transformation(text: str, spec: Spec) -> optax.GradientTransformation:
    factory = getattr(optax, spec.name, None)
    if not inspect.isfunction(factory):
        functions = [name for name, _ in inspect.getmembers(optax, inspect.isfunction)]
        meant = _meant(spec.name, functions)
        raise ValueError(
            f"{text!r}: optax has no transformation {spec.name!r}; {meant}".rstrip("; ")
        )
    built = _call(text, factory, spec, partial(_of_optax, text))
    rate = inspect.signature(factory).bind(*spec.args, **spec.kwargs).arguments.get("learning_rate")
    if isinstance(rate, int | float) and rate < 0:
        raise ValueError(
            f"{text!r}: learning_rate={rate}: must be at least 0, or it maximises the loss"
        )
    if not isinstance(built, optax.GradientTransformation):
        raise ValueError(f"{text!r}: optax.{spec.name} does not return a gradient transformation")
    return built


def _of_optax(text: str, spec: Spec) -> Any:
    return (_schedule if _is_schedule(spec.name) else _transformation)(text, spec)


def _is_schedule(name: str) -> bool:
    """Whether optax has such a schedule; those that take functions are excluded."""
    exists = inspect.isfunction(getattr(optax.schedules, name, None))
    return exists and not name.startswith(("_", "inject_", "join_"))


def _schedule(text: str, spec: Spec) -> optax.Schedule:
    if not _is_schedule(spec.name):
        known = [name for name in dir(optax.schedules) if _is_schedule(name)]
        raise ValueError(
            f"{text!r}: optax has no schedule {spec.name!r}; {_meant(spec.name, known)}there are: "
            f"{', '.join(known)}"
        )
    return _call(text, getattr(optax.schedules, spec.name), spec, partial(_of_optax, text))


def _call(
    text: str,
    factory: Callable[..., Any],
    spec: Spec,
    nested: Callable[[Spec], Any],
    context: tuple[Any, ...] = (),
) -> Any:
    resolve = lambda v: nested(v) if isinstance(v, Spec) else v  # noqa: E731
    args = [resolve(a) for a in spec.args]
    kwargs = {k: resolve(v) for k, v in spec.kwargs.items()}
    signature = inspect.signature(factory)
    ours = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in [*signature.parameters.values()][len(context) :]
    ]
    shown = f"the signature is {spec.name}{inspect.Signature(ours)}"
    try:
        bound = signature.bind(*context, *args, **kwargs)
    except TypeError as error:
        known = [parameter.name for parameter in ours]
        unknown = [name for name in kwargs if name not in known]
        meant = _meant(unknown[0], known) if unknown else ""
        raise ValueError(f"{text!r}: {error}; {meant}{shown}") from error
    wrong = argument_types.mismatch(factory, bound, [parameter.name for parameter in ours])
    if wrong:
        raise ValueError(f"{text!r}: {wrong}; {shown}")
    try:
        return factory(*context, *args, **kwargs)
    except ValueError:
        raise
    except Exception as error:  # whatever a value of the right type can still cause
        raise ValueError(f"{text!r}: {error}; {shown}") from error
