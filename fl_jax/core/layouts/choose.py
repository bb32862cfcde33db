"""The layout for a model and a backend, as `launch.benchmark --suite=round` found it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax

from fl_jax.core.layouts.common import Round
from fl_jax.core.layouts.mesh import mesh
from fl_jax.core.layouts.sequential import sequential
from fl_jax.core.layouts.vmapped import vmapped
from fl_jax.core.types import Aggregator, Algorithm, Params

_SMALL = 1_000_000
"""Parameters of a model whose steps leave an accelerator idle; a guess: not measured yet."""
_SEVERAL = 8
"""Steps per call where a step is short."""


class Choice(NamedTuple):
    """A layout's name, why it was chosen, in words for a log, and its steps per call."""

    layout: str
    reason: str
    steps_per_call: int = 1


def choose(
    algorithm: Algorithm,
    params: Params,
    sites: int,
    devices: Sequence[Any] | None = None,
) -> Choice:
    """Chooses the layout that should be fastest; the first line that fits decides.

    | | layout |
    |---|---|
    | a chained algorithm, or one site | `sequential` |
    | CPU devices, a model without convolutions | `sequential`, several steps a call: a step is short |
    | several devices | `mesh` |
    | one CPU device | `sequential`: lock-step was slower there for every model that was measured |
    | one accelerator, a small model without convolutions, several sites | `vmapped` |
    | one accelerator, another model | `sequential`: sites' convolutions side by side are grouped ones |

    Args:
        algorithm: what sites and server do.
        params: the model; arrays or their shapes. A leaf of more than two axes is taken for the kernel of
            a convolution.
        sites: S.
        devices: where it will run; None for all that JAX sees.

    Returns:
        The choice; any other may be used in its place, the numbers are the same.
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
            "sequential",
            "a step without convolutions is short: site after site, in few calls",
            _SEVERAL,
        )
    if len(devices) > 1:
        return Choice("mesh", f"{len(devices)} devices train {sites} sites at the same time")
    if kind == "cpu":
        return Choice("sequential", "one CPU device is slower in lock-step")
    if convolutions:
        return Choice("sequential", f"a {kind} runs the convolutions of one site at a time")
    count = sum(leaf.size for leaf in leaves)
    if count > _SMALL:
        return Choice("sequential", f"{count:,} parameters fill a {kind} with one site")
    return Choice("vmapped", f"{count:,} parameters leave a {kind} idle with one site")


def make(
    layout: str,
    algorithm: Algorithm,
    aggregator: Aggregator,
    sizes: Sequence[float] | None = None,
    *,
    steps_per_call: int = 1,
) -> Round:
    """Makes a layout by its name.

    Args:
        layout: `sequential`, `vmapped` or `mesh`.
        algorithm: what sites and server do.
        aggregator: how messages become one.
        sizes: [S] what a round costs at each site, for `mesh`.
        steps_per_call: for `sequential` and `mesh`.

    Raises:
        ValueError: for another name, or what the layout does not support.
    """
    match layout:
        case "sequential":
            return sequential(algorithm, aggregator, steps_per_call=steps_per_call)
        case "vmapped":
            return vmapped(algorithm, aggregator)
        case "mesh":
            return mesh(algorithm, aggregator, sizes=sizes, steps_per_call=steps_per_call)
    raise ValueError(f"layout={layout!r}: must be one of sequential, vmapped, mesh")
