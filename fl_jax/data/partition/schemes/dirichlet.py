"""Label skew: each kind of bleeding is distributed over the sites with shares from a Dirichlet distribution.

    share[kind] ~ Dirichlet(alpha, ..., alpha)   over the S sites

A patient's kind is its rarest label, or none; see `patients.rarest_label`.

Reference: Hsu, Qi and Brown, arXiv:1909.06335, 2019.
"""

import numpy as np

from fl_jax.data import label_skew
from fl_jax.data.partition.patients import Patients, Scheme, rarest_label
from fl_jax.data.site_names import numbered_sites


def dirichlet(sites: int, alpha: float = 0.5, *, minimum: int = 3) -> Scheme:
    """Distributes patients by their kind of bleeding.

    Args:
        sites: S.
        alpha: 1e-6 to 1e6; at 0.1 most kinds are at one or two sites, at 100 sites are nearly alike.
        minimum: patients that every site has at least; three splits need three.

    Raises:
        ValueError: no site, or alpha out of range; from the scheme, the errors of `label_skew.dirichlet`.
    """
    names = numbered_sites(sites)
    label_skew.check_alpha(alpha)

    def assign(patients: Patients, seed: int) -> np.ndarray:
        rows_by_site = label_skew.dirichlet(
            rarest_label(patients.labels), sites, alpha=alpha, seed=seed, minimum=minimum
        )
        site = np.empty(len(patients.name), names.dtype)
        for name, rows in zip(names, rows_by_site, strict=True):
            site[rows] = name
        return site

    return assign
