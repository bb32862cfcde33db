"""Core types shared by every module, and the shape letters of all docstrings.

| letter | meaning | | letter | meaning |
|---|---|---|---|---|
| S | sites in the federation | | H, W | rows and columns of an image, pixels |
| T | local steps of one round | | C | CT windows, i.e. image channels |
| B | examples in a batch | | L | labels |
| N | examples in a dataset | | | |
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

LABELS = ("any", "epidural", "intraparenchymal", "intraventricular", "subarachnoid", "subdural")
"""The L = 6 labels in array order: `any` hemorrhage and its five subtypes."""
ANY = LABELS.index("any")
"""Its column."""

AIR = -1000.0
"""HU of air, and of everything outside the image."""

Array = jax.Array | np.ndarray
Params = Any
"""A pytree of float arrays: a model's parameters, or an update or gradient of the same shape."""
Metrics = dict[str, Array]
"""Scalars by name, float32; functions return them, `launch/` logs them."""


class Batch(NamedTuple):
    """Examples of one site.

    Attributes:
        inputs: [B, ...], the model's input; for CT int16[B, H, W] in Hounsfield units (HU), or
            [B, 3, H, W] with the slices below and above in the outer channels; or a `Study`.
        labels: float32[B, L] in {0, 1}; for studies float32[B, 1 + S, L], the study's label first, then its
            slices', -1 in padding.
        mask: float32[B], 1 for a real example, 0 for padding.
    """

    inputs: Any
    labels: Array
    mask: Array


class Study(NamedTuple):
    """Inputs of a model that reads all slices of a study; here S counts slices.

    Attributes:
        slices: float32[B, S, F] features, or int16[B, S, H, W] in HU, ordered along the slice normal; real
            slices come first, and the values of padding have no effect.
        position: float32[B, S], mm along the slice normal, increasing; arbitrary in padding.
        mask: bool[B, S], whether a slice is real.
    """

    slices: Array
    position: Array
    mask: Array


class RunningLoss(NamedTuple):
    """The loss of a model with BatchNorm running statistics; callable like any other loss.

    Attributes:
        update: `(params, batch_stats, batch, key) -> (loss, batch_stats)`, from one forward pass: the loss
            with batch statistics, and the updated running statistics.
        init: `() -> batch_stats` of the right shapes; training does not read their values.
    """

    update: Callable[[Params, Any, Batch, jax.Array], tuple[jax.Array, Any]]
    init: Callable[[], Any]

    def __call__(self, params: Params, batch: Batch, key: jax.Array) -> jax.Array:
        """The loss alone, float32[], a function of the parameters."""
        return self.update(params, self.init(), batch, key)[0]


class Report(NamedTuple):
    """What a site sends to the server at the end of a round; nothing else leaves it.

    Attributes:
        message: a pytree of arrays, such as the update, float32, with the structure of the parameters.
        weight: float32[], >= 0, the message's weight in a weighted aggregate: the site's examples, or a
            multiple of them; see `fl_jax.core.weighting`.
        metrics: scalars for the log; they never enter the aggregate. `examples` are those that the weight
            counts.
    """

    message: Any
    weight: Array
    metrics: Metrics


class Client(NamedTuple):
    """A site's part of a round as three pure functions, so that batches can stream.

    Attributes:
        start: `(broadcast, site, key) -> local`, the site's state during the round.
        step: `(local, batch) -> local`, one local optimisation step.
        finish: `(broadcast, site, local) -> (Report, site)`.
    """

    start: Callable[[Any, Any, jax.Array], Any]
    step: Callable[[Any, Batch], Any]
    finish: Callable[[Any, Any, Any], tuple[Report, Any]]


class Algorithm(NamedTuple):
    """A federated algorithm as pure functions of pytrees; it has no state.

    Attributes:
        init_server: `(params) -> server state`, a NamedTuple whose field `params` is the global model.
        init_site: `(params) -> site state`, which persists at the site between rounds.
        broadcast: `(server) -> broadcast`, all that the server sends to a site.
        client: the site's part, see `Client`.
        server: `(server, message, fraction) -> server`; `message` is the aggregate of the sites' messages
            that were accepted, `fraction` float32[] in [0, 1] what these sites count of all, 1 for all of
            them; see `fl_jax.core.weighting`.
        personal: `(server, site) -> params`, the model that a site uses on its own data; None if that is
            the global model.
        chained: whether the model travels from site to site within a round. The server then updates after
            every site. Only the layout `sequential` supports this.
        first: an exchange that precedes the algorithm's in every round, with the same sites and batches, such
            as one for gradients that the sites' steps need the mean of. Its `broadcast`, `client` and
            `server` are used, on the algorithm's states; None for none.
        one_site_is_central: whether a federation of one site is the method that central and local arms
            should use, in the place of plain training, because the algorithm is no form of it.
    """

    init_server: Callable[[Params], Any]
    init_site: Callable[[Params], Any]
    broadcast: Callable[[Any], Any]
    client: Client
    server: Callable[[Any, Any, Array], Any]
    personal: Callable[[Any, Any], Params] | None = None
    chained: bool = False
    first: "Algorithm | None" = None
    one_site_is_central: bool = False


class Aggregator(NamedTuple):
    """Combines the sites' messages one by one, so that a mean needs O(1) memory in S.

    Attributes:
        init: `(message, sites) -> state`: `message` gives shapes and dtypes, `sites` is S.
        add: `(state, site, message, weight, key) -> state` for one participating site; `site` is its index,
            int32[] in 0..S-1.
        finish: `(state) -> (aggregate, state)`, with the state for the next round. Without messages the
            aggregate is zero.
        payload: `(message) -> int`, bytes on the wire for a message of these shapes and dtypes; None for
            uncompressed arrays.
        receive: `(state, site, report, key) -> (state, metrics)`, checks a participating site's report and
            adds its message if accepted; None for the plain checks. See `fl_jax.core.receive`.
    """

    init: Callable[[Any, int], Any]
    add: Callable[[Any, Array, Any, Array, jax.Array], Any]
    finish: Callable[[Any], tuple[Any, Any]]
    payload: Callable[[Any], int] | None = None
    receive: Callable[[Any, Array, Report, jax.Array], tuple[Any, Metrics]] | None = None
