"""MimeLite: Mime without the gradient correction; local steps share the server's optimiser state.

site s, each step:  x_s <- x_s + U(grad F_s(x_s), o)   o is applied, not updated
                    send (x_s - x, mean of the round's gradients at x) with weight n_s
server:             o <- V(mean(gradients at x), o),  x <- x + mean(x_s - x)

Karimireddy et al., "Breaking the Centralized Barrier for Cross-Device Federated Learning", NeurIPS 2021.
"""

import optax

from fl_jax.algorithms.mime import mime
from fl_jax.core import client
from fl_jax.core.types import Algorithm


def mime_lite(loss: client.Loss, client_optimizer: optax.GradientTransformation) -> Algorithm:
    """Makes MimeLite.

    Args:
        loss: see `client.Loss`.
        client_optimizer: the base optimiser, see `mime`. With plain SGD, which has no state, it is FedAvg.

    Returns:
        The algorithm. A step computes two gradients with the same key. A round has one exchange, since c is
        needed only after the steps. Means are over examples, or with `weighting='equal'` over sites.
    """
    return mime(loss, client_optimizer, corrected=False)
