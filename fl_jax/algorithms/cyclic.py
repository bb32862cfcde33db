"""Cyclic weight transfer: one model travels from site to site, and each trains it further.

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
        client_optimizer: the sites' optimiser. Its state does not travel.
        keep_optimizer: see `fed_avg`.

    Returns:
        The algorithm. The sites' sizes do not weigh, but their order does: the last one leaves its mark.
    """
    return fed_avg(loss, client_optimizer, keep_optimizer=keep_optimizer)._replace(chained=True)
