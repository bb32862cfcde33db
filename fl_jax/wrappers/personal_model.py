"""Trains a personal model at each site, on the same batches as the algorithm's."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import optax

from fl_jax.core import client
from fl_jax.core.types import Algorithm, Batch, Client, Params, Report


class PersonalSite(NamedTuple):
    """A site's state: the wrapped algorithm's, the personal parameters, and their optimiser state."""

    base: Any
    personal: Params
    optimizer: Any


class PersonalLocal(NamedTuple):
    """A site's state during a round: the broadcast, and the local states of both models."""

    broadcast: Any
    base: Any
    personal: client.Local


def personal_model(
    algorithm: Algorithm,
    loss: Callable[[Params, Any, Any, Batch, jax.Array], jax.Array],
    optimizer: optax.GradientTransformation,
    init: Callable[[Params], Params],
    *,
    keep_optimizer: bool,
) -> Algorithm:
    """Wraps an algorithm so that every site also trains personal parameters.

    Guarantees: the algorithm itself computes the same numbers as without. Both models use the same keys, so
    that XLA computes an augmentation once.

    Args:
        algorithm: its local state must have a field `params`.
        loss: `(personal, params, broadcast, batch, key) -> float32[]`, minimised over `personal`; `params`
            is the algorithm's local model before its step.
        optimizer: of the personal parameters.
        init: `(params) -> personal`, from the initial model.
        keep_optimizer: whether the optimiser state persists between rounds.

    Returns:
        The algorithm with site state `PersonalSite`; set `personal` with `_replace`.
    """

    def init_site(params: Params) -> PersonalSite:
        personal = init(params)
        state = optimizer.init(personal) if keep_optimizer else ()
        return PersonalSite(algorithm.init_site(params), personal, state)

    def start(broadcast: Any, site: PersonalSite, key: jax.Array) -> PersonalLocal:
        state = site.optimizer if keep_optimizer else optimizer.init(site.personal)
        base = algorithm.client.start(broadcast, site.base, key)
        return PersonalLocal(broadcast, base, client.start(site.personal, state, key))

    def step(local: PersonalLocal, batch: Batch) -> PersonalLocal:
        def personal_loss(personal: Params, batch: Batch, key: jax.Array) -> jax.Array:
            return loss(personal, local.base.params, local.broadcast, batch, key)

        personal = client.gradient_step(personal_loss, optimizer)(local.personal, batch)
        return local._replace(base=algorithm.client.step(local.base, batch), personal=personal)

    def finish(
        broadcast: Any, site: PersonalSite, local: PersonalLocal
    ) -> tuple[Report, PersonalSite]:
        report, base = algorithm.client.finish(broadcast, site.base, local.base)
        state = local.personal.optimizer if keep_optimizer else ()
        return report, PersonalSite(base, local.personal.params, state)

    return algorithm._replace(init_site=init_site, client=Client(start, step, finish))
