"""Sites that differ by chance alone."""

import numpy as np

from fl_jax.data.partition.patients import Patients, Scheme
from fl_jax.data.site_names import numbered_sites


def iid(sites: int) -> Scheme:
    """Distributes shuffled patients to sites of equal size.

    Args:
        sites: S; sizes differ by at most one patient.

    Raises:
        ValueError: no site.
    """
    names = numbered_sites(sites)

    def assign(patients: Patients, seed: int) -> np.ndarray:
        count = len(patients.name)
        return names[np.random.default_rng(seed).permutation(count) * sites // max(count, 1)]

    return assign
