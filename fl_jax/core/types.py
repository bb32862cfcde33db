"""Names that every floor shares: shape letters, labels, and the batch that crosses to the device.

Shape letters, used in every docstring of this project:

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
"""The L = 6 labels in the order of every array: `any` hemorrhage and its five subtypes."""

AIR = -1000.0
"""HU of air, and of whatever lies outside a picture."""

Array = jax.Array | np.ndarray
Params = Any
"""A pytree of float arrays: a model's parameters, an update or a gradient of the same shape."""
Metrics = dict[str, Array]
"""Scalars by name, float32; a function returns them, `launch/` logs them."""


class Batch(NamedTuple):
    """Examples of one site.

    Attributes:
        inputs: [B, ...] what the model reads; for CT int16[B, H, W] in Hounsfield units (HU), or
            [B, 3, H, W]: the slices below and above it around each; or a `Study`.
        labels: float32[B, L] in {0, 1}; of studies float32[B, 1 + S, L], the study's first, -1 in padding.
        mask: float32[B], 1 for a real example and 0 for the padding that fills a last batch.
    """

    inputs: Any
    labels: Array
    mask: Array


class Study(NamedTuple):
    """What a model that reads slices in their study reads: the inputs of a batch of B studies.

    Attributes:
        slices: float32[B, S, F] features, or int16[B, S, H, W] in HU, in order along the slice normal; the
            real slices come first, and what padding holds changes nothing.
        position: float32[B, S], mm along the slice normal, growing; of padding anything.
        mask: bool[B, S], whether a slice is real.
    """

    slices: Array
    position: Array
    mask: Array


class RunningLoss(NamedTuple):
    """The loss of a model that keeps running statistics; called, it is a loss like any other.

    Attributes:
        moving: `(params, statistics, batch, key) -> (loss, statistics)`, of one forward pass: the loss by the
            batch's own moments, and the running statistics moved by them.
        initial: `() -> statistics` of the right shapes; training does not read their values.
    """

    moving: Callable[[Params, Any, Batch, jax.Array], tuple[jax.Array, Any]]
    initial: Callable[[], Any]

    def __call__(self, params: Params, batch: Batch, key: jax.Array) -> jax.Array:
        """The loss alone, float32[], which is a function of the parameters."""
        return self.moving(params, self.initial(), batch, key)[0]


class Report(NamedTuple):
    """What one site sends to the server at the end of a round; all that crosses the wire.

    Attributes:
        message: a pytree of arrays, e.g. the update float32, like the parameters.
        weight: float32[], >= 0, the weight of the message in a weighted aggregate.
        metrics: scalars for the log; they never enter the aggregate.
    """

    message: Any
    weight: Array
    metrics: Metrics


class Client(NamedTuple):
    """A site's part of a round as three pure functions, so that batches may stream.

    Attributes:
        start: `(broadcast, site, key) -> local`, what a site holds during one round.
        step: `(local, batch) -> local`, one local optimisation step.
        finish: `(broadcast, site, local) -> (Report, site)`.
    """

    start: Callable[[Any, Any, jax.Array], Any]
    step: Callable[[Any, Batch], Any]
    finish: Callable[[Any, Any, Any], tuple[Report, Any]]


class Algorithm(NamedTuple):
    """A federated algorithm: five pure functions of pytrees; it holds no state itself.

    Attributes:
        init_server: `(params) -> ServerState`, a NamedTuple whose field `params` is the global model.
        init_site: `(params) -> site state`, kept at the site from round to round.
        broadcast: `(server) -> Broadcast`, all that a site is sent, and no more.
        client: the site's part, see `Client`.
        server: `(server, message, fraction) -> ServerState`; `message` is the aggregate of the
            participating sites' messages, `fraction` float32[] in [0, 1] the share of the sites whose
            message was taken.
        personal: `(server, site state) -> params`, the model that a site uses on its own data; None where
            that is the global model.
        chained: True where the model is handed from site to site within a round, each going on from what
            the one before it left; the server then acts after every site. Only `sequential` does that.
    """

    init_server: Callable[[Params], Any]
    init_site: Callable[[Params], Any]
    broadcast: Callable[[Any], Any]
    client: Client
    server: Callable[[Any, Any, Array], Any]
    personal: Callable[[Any, Any], Params] | None = None
    chained: bool = False


class Arrival(NamedTuple):
    """What the server receives of one site in a round; without faults it is what the site sent.

    Attributes:
        message: a pytree of the shapes and dtypes that the site sent.
        weight: float32[].
        readable: bool[], False where structure, a shape or a dtype is not what the server expects. Inside a
            compiled round shapes are fixed, so this flag stands for the message that could not be.
        age: int32[], rounds since the message was made; 0 where it is of this round.
        copies: int32[], how often the message arrived.
    """

    message: Any
    weight: Array
    readable: Array
    age: Array
    copies: Array


class Aggregator(NamedTuple):
    """How the sites' messages become one; runs site by site, so that a mean needs O(1) memory in S.

    Attributes:
        init: `(message, sites) -> state`: `message` gives shapes and dtypes, `sites` is S.
        add: `(state, site, message, weight, key) -> state` for one participating site; `site` is
            int32[], its index in 0..S-1.
        finish: `(state) -> (message, state)`: the aggregate, and the state for the next round. With no
            site added the aggregate is zero.
        payload: `(message) -> int`, bytes that a site sends for a message of these shapes and dtypes; None
            where it sends the arrays as they are.
        arrive: `(state, site, arrival, key) -> (state, arrival)`, what becomes of a message on its way, with
            the key of the site's round; None: it arrives as it was sent. See `fl_jax.faults.fault`.
        trusting: True where every message is taken that can be added, finite or not, as often as it
            arrives, whatever its age; only to show what the server's checks are worth.
    """

    init: Callable[[Any, int], Any]
    add: Callable[[Any, Array, Any, Array, jax.Array], Any]
    finish: Callable[[Any], tuple[Any, Any]]
    payload: Callable[[Any], int] | None = None
    arrive: Callable[[Any, Array, Arrival, jax.Array], tuple[Any, Arrival]] | None = None
    trusting: bool = False
