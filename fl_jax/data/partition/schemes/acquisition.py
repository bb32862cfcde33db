"""Acquisition skew: patients whose files were written alike share a site, as with real scanners.

Patients are sorted by their files' header (bits stored, sign, intercept, kernel, pixel spacing; see
`patients.DIALECT`) and cut into S sites of equal size. If a scanner has more patients than a site, pixel
spacing, i.e. the field of view, decides. Labels, age and sex play no part.
"""

import numpy as np

from fl_jax.data.partition.patients import Patients, Scheme
from fl_jax.data.site_names import numbered_sites


def acquisition(sites: int, mix: float = 0.0) -> Scheme:
    """Cuts the patients, sorted by header, into sites.

    Args:
        sites: S; sizes differ by at most one patient.
        mix: share of the patients, in [0, 1], whose sites are then permuted; 1 is `iid`.

    Raises:
        ValueError: no site, or mix out of range; from the scheme, a dataset without headers.
    """
    names = numbered_sites(sites)
    if not 0 <= mix <= 1:
        raise ValueError(f"mix={mix}: must lie in 0..1, a share of the patients")

    def assign(patients: Patients, seed: int) -> np.ndarray:
        if patients.dialect is None:
            raise ValueError(
                "acquisition: this dataset does not tell how its files were written; open it with "
                "fl_jax.data.slices.load"
            )
        rng, count = np.random.default_rng(seed), len(patients.name)
        order = np.lexsort((rng.random(count), patients.dialect))
        site = np.empty(count, names.dtype)
        site[order] = names[np.arange(count) * sites // max(count, 1)]
        moved = np.flatnonzero(rng.random(count) < mix)
        site[moved] = site[rng.permutation(moved)]
        return site

    return assign
