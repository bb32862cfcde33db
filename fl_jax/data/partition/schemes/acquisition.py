"""Acquisition skew: patients whose files were written alike are at one site, as with real scanners.

Patients are put in the order of their files' header (bits stored, sign, intercept, kernel, pixel
spacing; see `patients.DIALECT`), and the line is cut into S sites of equal size. A scanner that has
more patients than a site is cut by pixel spacing, i.e. field of view. Neither labels nor anything about
the person, such as age or sex, plays a part.
"""

import numpy as np

from fl_jax.data.partition.patients import Patients, Scheme, site_names


def acquisition(sites: int, mix: float = 0.0) -> Scheme:
    """Cuts the patients, in the order of their headers, into sites.

    Args:
        sites: S; sizes differ by one patient at most.
        mix: share of the patients, in [0, 1], who then change places at random; 1 is `iid`.

    Raises:
        ValueError: no site, or mix out of range; when dealt, a dataset that does not tell of headers.
    """
    names = site_names(sites)
    if not 0 <= mix <= 1:
        raise ValueError(f"mix={mix}: must lie in 0..1, a share of the patients")

    def send(patients: Patients, seed: int) -> np.ndarray:
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

    return send
