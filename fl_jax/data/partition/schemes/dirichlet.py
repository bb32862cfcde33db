"""Label skew: each kind of bleeding is dealt to the sites in shares drawn from a Dirichlet distribution.

    share[kind] ~ Dirichlet(alpha, ..., alpha)   over the S sites

A patient's kind is the rarest label that it has, or none; see `patients.kinds`.

Reference: Hsu, Qi and Brown, arXiv:1909.06335, 2019.
"""

import numpy as np

from fl_jax.data import label_skew
from fl_jax.data.partition.patients import Patients, Scheme, kinds, site_names


def dirichlet(sites: int, alpha: float = 0.5, *, minimum: int = 3) -> Scheme:
    """Deals patients by the kind of their bleeding.

    Args:
        sites: S.
        alpha: > 0; at 0.1 most kinds are at one or two sites, at 100 sites are nearly alike.
        minimum: patients that every site has at least; three are what three splits need.

    Raises:
        ValueError: no site; when dealt, the errors of `label_skew.dirichlet`.
    """
    names = site_names(sites)

    def send(patients: Patients, seed: int) -> np.ndarray:
        dealt = label_skew.dirichlet(
            kinds(patients.labels), sites, alpha=alpha, seed=seed, minimum=minimum
        )
        site = np.empty(len(patients.name), names.dtype)
        for name, rows in zip(names, dealt, strict=True):
            site[rows] = name
        return site

    return send
