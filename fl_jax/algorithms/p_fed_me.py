"""pFedMe: the global model minimises the sites' Moreau envelopes; each site uses its proximal point.

min over x of sum_s n_s min over theta_s of F_s(theta_s) + lam/2 ||theta_s - x||^2
site s, every step:  K times:  theta_s <- theta_s + u(grad loss(theta_s) + lam (theta_s - w_s))
                     w_s <- w_s - rate lam (w_s - theta_s)        w_s = theta_s = x at the round's start
                     send w_s - x with weight n_s;  keep theta_s
server:              x <- x + server_optimizer(-(sum_s n_s (w_s - x) / sum_s n_s))

Dinh, Tran and Nguyen, "Personalized Federated Learning with Moreau Envelopes", NeurIPS 2020. The start of
theta_s is that of the authors' code; the paper leaves it open.
"""

from typing import Any, NamedTuple

import jax
import optax

from fl_jax.algorithms.fed_avg import fed_avg
from fl_jax.core import client
from fl_jax.core.layouts.common import chain
from fl_jax.core.types import Algorithm, Batch, Client, Params, Report


class Site(NamedTuple):
    """A site's state: theta_s, and FedAvg's site state."""

    theta: Params
    base: Any


class Local(NamedTuple):
    """A site's state during a round: w_s, and the training of theta_s."""

    w: Params
    theta: client.Local


def p_fed_me(
    loss: client.Loss,
    client_optimizer: optax.GradientTransformation,
    *,
    lam: float = 15.0,
    inner_steps: int = 5,
    rate: float = 0.005,
    server_optimizer: optax.GradientTransformation | None = None,
    keep_optimizer: bool = False,
) -> Algorithm:
    """Makes pFedMe; a step costs `inner_steps` of FedAvg.

    Args:
        loss: see `client.Loss`.
        client_optimizer: of theta_s; it receives the gradient with the proximal term. Gradient descent needs
            a learning rate times lam below 2.
        lam: > 0, ties theta_s to w_s; the smaller, the more personal.
        inner_steps: K, at least 1, on the same batch with the same key.
        rate: the learning rate of w_s, in (0, 1 / lam]. Each step goes the part `rate * lam` of the way from
            w_s to theta_s; with 1 and `inner_steps=1` this is FedAvg. A round schedule does not scale it.
        server_optimizer: see `fed_avg`; `sgd(beta)` is the paper's beta.
        keep_optimizer: see `fed_avg`; for theta_s.

    Returns:
        The algorithm. n_s as in FedAvg; the paper's mean over sites is `weighting='equal'`. `personal` is the
        theta_s of the site's last round, and the initial model before its first. The metric `loss` is the
        mean over all theta_s, without the proximal term.
    """
    if not lam > 0:
        raise ValueError(f"lam={lam}: must be above 0; 0 would leave the global model as it is")
    if inner_steps < 1:
        raise ValueError(f"inner_steps={inner_steps}: must be at least 1")
    if not 0 < rate * lam <= 1:
        raise ValueError(
            f"rate={rate}: must be above 0 and at most 1 / lam = {1 / lam:g}, where w_s moves to theta_s"
        )
    base = fed_avg(
        loss, client_optimizer, server_optimizer=server_optimizer, keep_optimizer=keep_optimizer
    )

    def start(x: Params, site: Site, key: jax.Array) -> Local:
        return Local(x, base.client.start(x, site.base, key))

    def step(local: Local, batch: Batch) -> Local:
        w, before = local

        def direction(
            theta: client.Local, gradient: Params, batch: Batch, key: jax.Array
        ) -> tuple[Params, Any]:
            del batch, key
            return optax.tree.add_scale(gradient, lam, optax.tree.sub(theta.params, w)), ()

        inner_step = client.gradient_step(loss, client_optimizer, direction)

        def same_key(theta: client.Local, batch: Batch) -> client.Local:
            return inner_step(theta._replace(key=before.key), batch)

        theta = chain(same_key, before, [batch] * inner_steps)
        w = optax.tree.add_scale(w, rate * lam, optax.tree.sub(theta.params, w))
        mean_loss = (theta.loss - before.loss) / inner_steps
        return Local(
            w,
            theta._replace(
                examples=before.examples + batch.mask.sum(), loss=before.loss + mean_loss
            ),
        )

    def finish(x: Params, site: Site, local: Local) -> tuple[Report, Site]:
        report, state = base.client.finish(x, site.base, local.theta._replace(params=local.w))
        return report, Site(local.theta.params, state)

    return base._replace(
        init_site=lambda params: Site(params, base.init_site(params)),
        client=Client(start, step, finish),
        personal=lambda server, site: site.theta,
    )
