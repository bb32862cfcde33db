"""Pathological skew: each site has a few kinds of bleeding and none of the others.

Reference: McMahan et al., "Communication-Efficient Learning of Deep Networks from Decentralized Data",
AISTATS 2017, section 3, where each client has two digits.
"""

import numpy as np

from fl_jax.data.partition.patients import Patients, Scheme, rarest_label
from fl_jax.data.site_names import numbered_sites


def pathological(sites: int, labels: int = 2) -> Scheme:
    """Gives each site k kinds of patients, and divides each kind evenly between its sites.

    A patient's kind is its rarest label, or none. Patients may have other labels too, so single slices with
    further labels can occur at a site.

    Args:
        sites: S.
        labels: k, kinds of patients at a site.

    Raises:
        ValueError: no site or no kind; from the scheme, k larger than the number of kinds, or too few sites
            to cover all kinds.
    """
    names = numbered_sites(sites)
    if labels < 1:
        raise ValueError(f"labels={labels}: a site has at least one kind of patients")

    def assign(patients: Patients, seed: int) -> np.ndarray:
        kind = rarest_label(patients.labels)
        kinds = np.unique(kind)
        if not labels <= len(kinds) <= sites * labels:
            raise ValueError(
                f"sites={sites}, labels={labels}: the patients are of {len(kinds)} kinds, so labels "
                "must be at most that, and sites * labels at least that"
            )
        rng = np.random.default_rng(seed)
        order = rng.permutation(kinds)
        kind_of_place = np.arange(sites * labels) % len(kinds)
        site = np.empty(len(kind), names.dtype)
        for number, one in enumerate(order):
            having = names[np.flatnonzero(kind_of_place == number) // labels]
            rows = rng.permutation(np.flatnonzero(kind == one))
            site[rows] = having[np.arange(len(rows)) % len(having)]
        return site

    return assign
