"""Chooses a layout for a model and a backend, from measurements of `launch.benchmark --suite=round`."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax

from fl_jax.core.layouts.common import Round
from fl_jax.core.layouts.mesh import mesh
from fl_jax.core.layouts.sequential import sequential
from fl_jax.core.layouts.vmapped import vmapped
from fl_jax.core.types import Aggregator, Algorithm, Params

_SMALL = 1_000_000
"""Parameters below which one site leaves an accelerator idle; a guess, not measured."""
_SEVERAL = 8
"""Steps per call for short steps."""


class Choice(NamedTuple):
    """A layout's name, the reason for the log, and its steps per call."""

    layout: str
    reason: str
    steps_per_call: int = 1


def choose(
    algorithm: Algorithm, params: Params, sites: int, devices: Sequence[Any] | None = None
) -> Choice:
    """Chooses the layout that should be fastest: the first row that applies.

    | case | layout |
    |---|---|
    | a chained algorithm, or one site | `sequential` |
    | CPU, a model without convolutions | `sequential`, several steps per call: steps are short |
    | several devices | `mesh` |
    | one CPU device | `sequential`: lock-step was slower for every model measured |
    | one accelerator, a small model without convolutions, several sites | `vmapped` |
    | one accelerator, any other model | `sequential`: vmapped convolutions are grouped, and slow |

    Args:
        params: the model, arrays or their shapes; a leaf with more than two axes counts as a convolution.
        sites: S.
        devices: where to run; None for all local devices.

    Returns:
        The choice. It affects speed only: every layout gives the same numbers.
    """
    devices = jax.local_devices() if devices is None else devices
    kind = devices[0].platform
    if algorithm.chained:
        return Choice("sequential", "a chained algorithm trains site after site")
    if sites == 1:
        return Choice("sequential", "one site")
    leaves = jax.tree.leaves(params)
    convolutions = any(leaf.ndim > 2 for leaf in leaves)
    if kind == "cpu" and not convolutions:
        return Choice(
            "sequential", "steps without convolutions are short: several per call", _SEVERAL
        )
    if len(devices) > 1:
        return Choice("mesh", f"{len(devices)} devices train {sites} sites in parallel")
    if kind == "cpu":
        return Choice("sequential", "lock-step is slower on one CPU device")
    if convolutions:
        return Choice("sequential", f"convolutions of one site at a time are faster on a {kind}")
    count = sum(leaf.size for leaf in leaves)
    if count > _SMALL:
        return Choice("sequential", f"one site with {count:,} parameters fills a {kind}")
    return Choice("vmapped", f"one site with {count:,} parameters leaves a {kind} idle")


def make(
    layout: str,
    algorithm: Algorithm,
    aggregator: Aggregator,
    sizes: Sequence[float] | None = None,
    *,
    weighting: str = "examples",
    steps_per_call: int = 1,
) -> Round:
    """Makes a layout by its name.

    Args:
        layout: `sequential`, `vmapped` or `mesh`.
        sizes: [S], each site's examples in a round, see `fl_jax.core.weighting`; None for equal sites.
        weighting: `examples` or `equal`, see `fl_jax.core.weighting`.
        steps_per_call: for `sequential` and `mesh`.

    Raises:
        ValueError: for an unknown name, or an algorithm that the layout does not support.
    """
    options: dict[str, Any] = {"sizes": sizes, "weighting": weighting}
    match layout:
        case "sequential":
            return sequential(algorithm, aggregator, steps_per_call=steps_per_call, **options)
        case "vmapped":
            return vmapped(algorithm, aggregator, **options)
        case "mesh":
            return mesh(algorithm, aggregator, steps_per_call=steps_per_call, **options)
    raise ValueError(f"layout={layout!r}: must be one of sequential, vmapped, mesh")
