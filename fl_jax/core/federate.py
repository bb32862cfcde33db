"""A federation in two functions: `init` makes its state, `step` runs a round."""

from collections.abc import Callable, Collection
from functools import cache
from typing import Any, Protocol

import jax
import numpy as np

from fl_jax.core import layouts
from fl_jax.core.layouts import Round, State
from fl_jax.core.participation import participation
from fl_jax.core.sites import Sites
from fl_jax.core.types import Aggregator, Algorithm, Metrics, Params


class RoundMetrics(dict[str, dict[str, Any]]):
    """A round's metrics by name and site.

    >>> metrics = RoundMetrics(loss={"a": 0.5, "b": 0.25})
    >>> metrics.loss["a"], metrics["loss"]["b"]
    (0.5, 0.25)
    """

    def __getattr__(self, name: str) -> dict[str, Any]:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"no metric {name!r}; there are: {', '.join(self)}") from None


class Step(Protocol):
    """Runs a round."""

    def __call__(
        self, state: State, present: Collection[str] | None = None
    ) -> tuple[State, RoundMetrics]:
        """Runs a round with the sites named by `present`; None for all, or as `min_sites` draws."""
        ...


def federate(
    algorithm: Algorithm,
    aggregator: Aggregator,
    sites: Sites,
    *,
    epochs: float = 1.0,
    min_sites: int | None = None,
    weighting: str = "examples",
    layout: str = "auto",
) -> tuple[Callable[[Params, jax.Array], State], Step]:
    """Makes a federation.

    Guarantees: `step` is a pure function of the state and `present`: a restored state continues with the same
    numbers. The state that is passed in stays valid.

    Args:
        algorithm: such as `fed_avg(task.loss, optax.sgd(0.1))`.
        aggregator: such as `weighted_mean()`.
        sites: the training examples.
        epochs: local epochs per round, above 0; 0.5 is a random half of each site's examples.
        min_sites: draws between `min_sites` and S sites for each round; None for all sites.
        weighting: `examples`: a site counts as its examples do; `equal`: every site counts the same, see
            `fl_jax.core.weighting`.
        layout: `sequential`, `vmapped` or `mesh`; `auto` for the one that should be fastest. They agree to
            rounding.

    Returns:
        `init(params, key) -> state` and `step(state, present=None) -> (state, metrics)`. `state.params` is
        the global model; `metrics.loss["a"]` is the mean training loss at site a, NaN if it was absent.
        `fl_jax.core.layouts` lists the other metrics.

    Raises:
        ValueError: when an argument is out of range; `step`, when `present` names an unknown site.

    >>> import jax, numpy as np, optax
    >>> from fl_jax.aggregators import weighted_mean
    >>> from fl_jax.algorithms import fed_avg
    >>> loss = lambda params, batch, key: (batch.mask * (params - batch.inputs) ** 2).sum() / batch.mask.sum()
    >>> sites = Sites({"a": (np.zeros(3), np.zeros(3)), "b": (np.ones(1), np.ones(1))}, batch_size=3)
    >>> init, step = federate(fed_avg(loss, optax.sgd(0.5)), weighted_mean(), sites)
    >>> state, metrics = step(init(np.float32(0.5), jax.random.key(0)))
    >>> float(state.params), metrics.loss, metrics.accepted
    (0.25, {'a': 0.25, 'b': 0.25}, {'a': True, 'b': True})
    >>> step(state, present=["b"])[1].loss
    {'a': nan, 'b': 0.5625}
    """
    _check(algorithm, Algorithm, "algorithm", "fed_avg(loss, optax.sgd(0.1))")
    _check(aggregator, Aggregator, "aggregator", "weighted_mean()")
    _check(sites, Sites, "sites", "Sites({'a': (x, y)}, batch_size=16)")
    if min_sites is not None and not 1 <= min_sites <= len(sites):
        raise ValueError(f"min_sites={min_sites}: must lie in 1..{len(sites)}, the number of sites")
    names = sites.names
    sizes = [sites.examples(name, epochs) for name in names]

    @cache
    def built(layout: str, steps_per_call: int) -> Round:
        return layouts.make(
            layout, algorithm, aggregator, sizes, weighting=weighting, steps_per_call=steps_per_call
        )

    built("sequential" if layout == "auto" else layout, 1)  # refuses unknown names now

    def init(params: Params, key: jax.Array) -> State:
        return layouts.init(algorithm, aggregator, params, len(sites), key)

    def step(state: State, present: Collection[str] | None = None) -> tuple[State, RoundMetrics]:
        if len(state.participated) != len(sites):
            raise ValueError(
                f"state: is of {len(state.participated)} sites, the federation has {len(sites)}"
            )
        index = int(state.round)
        if present is not None:
            participating = _marked(sites, present)
        elif min_sites is not None:
            participating = participation(state.key, index, len(sites), min_sites)
        else:
            participating = np.ones(len(sites), bool)
        choice = layouts.Choice(layout, "")
        if layout == "auto":
            choice = layouts.choose(algorithm, state.params, len(sites))
        run = built(choice.layout, choice.steps_per_call)
        batches = lambda site: sites.batches(names[site], index, epochs)  # noqa: E731
        state, metrics = run(state, batches, participating)
        return state, _by_site(names, metrics)

    return init, step


def _marked(sites: Sites, present: Collection[str]) -> np.ndarray:
    if isinstance(present, str) or not len(present):
        raise ValueError(
            f"present={present!r}: must be a list of site names, e.g. {[*sites.names]}"
        )
    known = {sites.known(name) for name in present}
    return np.array([name in known for name in sites.names])


def _by_site(names: tuple[str, ...], metrics: Metrics) -> RoundMetrics:
    host = jax.device_get(metrics)
    return RoundMetrics(
        {metric: dict(zip(names, host[metric].tolist(), strict=True)) for metric in sorted(host)}
    )


def _check(value: Any, kind: type, name: str, example: str) -> None:
    if not isinstance(value, kind):
        shown = getattr(value, "__name__", type(value).__name__)
        raise ValueError(f"{name}: is {shown}, no {kind.__name__}; such as {example}")
