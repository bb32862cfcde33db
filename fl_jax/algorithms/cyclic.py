"""Cyclic weight transfer: sites train one model in turn.

round:  for each participating site s in turn:  x <- local training from x on site s' batches

Chang et al., "Distributed Deep Learning Networks among Institutions for Medical Imaging", JAMIA 2018.
"""

import optax

from fl_jax.algorithms.fed_avg import fed_avg
from fl_jax.core import client
from fl_jax.core.types import Algorithm


def cyclic(
    loss: client.Loss,
    client_optimizer: optax.GradientTransformation,
    *,
    keep_optimizer: bool = False,
) -> Algorithm:
    """Makes cyclic weight transfer: FedAvg with one site at a time.

    Args:
        loss: see `client.Loss`.
        client_optimizer: of local training; its state is not passed on.
        keep_optimizer: see `fed_avg`.

    Returns:
        The algorithm, for the layout `sequential`. The sites' order matters, and the last one most;
        `weighting` does not.
    """
    return fed_avg(loss, client_optimizer, keep_optimizer=keep_optimizer)._replace(chained=True)
