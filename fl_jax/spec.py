"""An algorithm, aggregator, model or optimiser is one string, a literal call: `'sgd(0.1, momentum=0.9)'`.

`ml_collections` refuses keys that a config does not define, so what varies between plug-ins is kept in
one string, parsed as a literal call (never evaluated) and logged verbatim.
"""

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Callable
from typing import Any, NamedTuple

import optax


class Spec(NamedTuple):
    """A parsed call: a name and its literal arguments; an argument may itself be a `Spec`."""

    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


def parse(text: str) -> Spec:
    """Parses `'name'` or `'name(1, key=2.0, nested=other(3))'`.

    Args:
        text: a Python call whose arguments are literals or such calls again.

    Returns:
        The call's name, positional and keyword arguments.

    Raises:
        ValueError: when the text is anything else; the message holds the text.
    """
    try:
        return _spec(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError, TypeError) as error:
        raise ValueError(
            f"spec {text!r} is not a literal call: write it like 'fed_avg(keep_optimizer=False)'"
        ) from error


def _spec(node: ast.expr) -> Spec:
    if isinstance(node, ast.Name):
        return Spec(node.id, (), {})
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
        raise ValueError("not a call")
    kwargs: dict[str, Any] = {}
    for keyword in node.keywords:
        if keyword.arg is None:
            raise ValueError("** is not allowed")
        kwargs[keyword.arg] = _value(keyword.value)
    return Spec(node.func.id, tuple(_value(a) for a in node.args), kwargs)


def _value(node: ast.expr) -> Any:
    return _spec(node) if isinstance(node, ast.Call) else ast.literal_eval(node)


def build(text: str, package: str, *context: Any) -> Any:
    """Finds `package.<name>.<name>` and calls it; the file's name is the plug-in's name.

    Args:
        text: a spec, see `parse`. Nested calls are optax transformations.
        package: where the plug-ins are, e.g. `'fl_jax.algorithms'`.
        *context: leading arguments that the caller supplies, e.g. the loss.

    Returns:
        What the factory returns.

    Raises:
        ValueError: for an unknown name (with the list of those known) or arguments that the factory
            does not take (with its signature).
    """
    spec = parse(text)
    known = names(package)
    if spec.name not in known:
        raise ValueError(f"{text!r}: no {spec.name!r} in {package}; there are: {', '.join(known)}")
    factory = getattr(importlib.import_module(f"{package}.{spec.name}"), spec.name)
    return _call(text, factory, spec, context)


def transformation(text: str) -> optax.GradientTransformation:
    """Builds an optax transformation from a spec such as `'adam(3e-4)'` or `'sgd(0.1, momentum=0.9)'`.

    Raises:
        ValueError: for a name that optax does not have, or arguments that it does not take.
    """
    return _transformation(text, parse(text))


def names(package: str) -> list[str]:
    """Lists the plug-ins of a package: its modules, sorted."""
    return sorted(m.name for m in pkgutil.iter_modules(importlib.import_module(package).__path__))


def _transformation(text: str, spec: Spec) -> optax.GradientTransformation:
    factory = getattr(optax, spec.name, None)
    if not inspect.isfunction(factory):
        raise ValueError(f"{text!r}: optax has no transformation {spec.name!r}")
    built = _call(text, factory, spec, ())
    if not isinstance(built, optax.GradientTransformation):
        raise ValueError(f"{text!r}: optax.{spec.name} does not return a gradient transformation")
    return built


def _call(text: str, factory: Callable[..., Any], spec: Spec, context: tuple[Any, ...]) -> Any:
    resolve = lambda v: _transformation(text, v) if isinstance(v, Spec) else v  # noqa: E731
    args = [resolve(a) for a in spec.args]
    kwargs = {k: resolve(v) for k, v in spec.kwargs.items()}
    signature = inspect.signature(factory)
    try:
        signature.bind(*context, *args, **kwargs)
    except TypeError as error:
        raise ValueError(f"{text!r}: {error}; the signature is {spec.name}{signature}") from error
    return factory(*context, *args, **kwargs)
