"""Agnostic federated learning: minimises the loss on the worst mixture of the sites.

min over x, max over mixtures lambda, of sum_s lambda_s F_s(x), simultaneously:
site s:  send x_s - x with weight lambda_s;  then lambda_s <- lambda_s exp(rate F_s(x)); initially n_s
server:  x <- x + sum_s lambda_s (x_s - x) / sum_s lambda_s

Mohri et al., "Agnostic Federated Learning", ICML 2019. This is the variant with local training and
exponentiated instead of projected gradients for lambda, one domain per site: Ro et al.,
"Communication-Efficient Agnostic Federated Averaging", Interspeech 2021.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from fl_jax.algorithms.fed_avg import ServerState, fed_avg
from fl_jax.core import client
from fl_jax.core.types import Algorithm, Array, Client, Report


def agnostic(
    loss: client.Loss,
    client_optimizer: optax.GradientTransformation,
    *,
    rate: float = 0.1,
    keep_optimizer: bool = False,
) -> Algorithm:
    """Makes agnostic federated averaging.

    Guarantees: weights do not overflow in long runs: sites send their score log(lambda_s / n_s) relative to a
    baseline, which rises by the mean lead. Ratios lambda_s / n_s of two sites are clipped at exp(120).

    Args:
        loss: see `client.Loss`.
        client_optimizer: the optimiser of local training.
        rate: >= 0, the step size of lambda; 0 is FedAvg.
        keep_optimizer: see `fed_avg`.

    Returns:
        The algorithm. A step takes one more forward pass, for the loss of x. lambda_s changes only in rounds
        with site s. With an aggregator that ignores weights, it is FedAvg. It approaches the minimax where
        all sites participate. As in Ro et al., weights are normalised over the participants, so that rounds
        without the worst sites move x as far as others: with two of four sites a round, the worst loss ended
        8 to 13 % above the minimax (`tests/parity/fixed_points_test.py`), and one site a round is FedAvg. A
        site that is absent more often than others loses weight, without end: present in a fifth of the
        rounds, the others in nine tenths, it ended at 1.95 of the minimax. With `weighting='equal'`, lambda_s
        is initially 1.
    """
    if not rate >= 0:
        raise ValueError(f"rate={rate}: must be at least 0; 0 is FedAvg")
    base = fed_avg(loss, client_optimizer, keep_optimizer=keep_optimizer)

    def start(sent: Any, site: Any, key: jax.Array) -> client.Local:
        (params, _), (optimizer, _) = sent, site
        extra = params, client.empty_mean(jnp.zeros(()))
        return base.client.start(params, optimizer, key)._replace(extra=extra)

    def finish(sent: Any, site: Any, local: client.Local) -> tuple[Report, Any]:
        (params, baseline), (optimizer, score) = sent, site
        report, optimizer = base.client.finish(params, optimizer, local)
        weight = report.weight * jnp.exp(jnp.clip(score - baseline, -60, 60))  # fits float32
        score = score + rate * client.mean(local.extra[-1])
        message = report.message, score - baseline
        return report._replace(message=message, weight=weight), (optimizer, score)

    def server(state: ServerState, message: Any, fraction: Array) -> ServerState:
        update, lead = message
        baseline = state.extra + jnp.maximum(lead, 0)  # a round of light sites does not lower it
        return base.server(state, update, fraction)._replace(extra=baseline)

    step = client.gradient_step(loss, client_optimizer, client.track_broadcast_loss(loss))
    return base._replace(
        init_server=lambda params: base.init_server(params)._replace(extra=jnp.zeros(())),
        init_site=lambda params: (base.init_site(params), jnp.zeros(())),
        broadcast=lambda server: (server.params, server.extra),
        client=Client(start, step, finish),
        server=server,
    )
