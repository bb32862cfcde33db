"""Quantity skew: sites that differ in their number of patients only.

    share ~ Dirichlet(alpha, ..., alpha)   over the S sites

Reference: Li, Diao, Chen and He, "Federated Learning on Non-IID Data Silos: An Experimental Study",
ICDE 2022.
"""

import numpy as np

from fl_jax.data.partition.patients import Patients, Scheme
from fl_jax.data.partition.schemes.dirichlet import dirichlet


def quantity(sites: int, alpha: float = 0.5, *, minimum: int = 3) -> Scheme:
    """Distributes patients, regardless of their labels, to sites of unequal size.

    Args:
        sites: S.
        alpha: > 0; at 0.5 the largest of five sites has about half of the patients, at 100 sizes are nearly
            equal.
        minimum: patients that every site has at least.

    Raises:
        ValueError: as `dirichlet`.
    """
    by_kind = dirichlet(sites, alpha, minimum=minimum)

    def assign(patients: Patients, seed: int) -> np.ndarray:
        return by_kind(patients._replace(labels=np.zeros_like(patients.labels)), seed)

    return assign
