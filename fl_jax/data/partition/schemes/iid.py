"""Sites that differ by chance alone."""

import numpy as np

from fl_jax.data.partition.patients import Patients, Scheme, site_names


def iid(sites: int) -> Scheme:
    """Deals shuffled patients to sites of equal size.

    Args:
        sites: S; sizes differ by one patient at most.

    Raises:
        ValueError: no site.
    """
    names = site_names(sites)

    def send(patients: Patients, seed: int) -> np.ndarray:
        count = len(patients.name)
        return names[np.random.default_rng(seed).permutation(count) * sites // max(count, 1)]

    return send
