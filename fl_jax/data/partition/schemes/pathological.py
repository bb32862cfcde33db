"""Pathological skew: a site sees few kinds of bleeding, and never the others.

Reference: McMahan et al., "Communication-Efficient Learning of Deep Networks from Decentralized Data",
AISTATS 2017, section 3, where a client holds two digits.
"""

import numpy as np

from fl_jax.data.partition.patients import Patients, Scheme, kinds, site_names


def pathological(sites: int, labels: int = 2) -> Scheme:
    """Gives each site so many kinds of patients; a kind's patients are dealt evenly to its sites.

    Patients have further labels beside that of their kind, which is the rarest one, so a site may see
    single slices of a label more. To have no bleeding is a kind, too.

    Args:
        sites: S.
        labels: k, kinds of patients at a site.

    Raises:
        ValueError: no site, no kind; when dealt, more kinds a site than there are, or too few sites
            for all of them.
    """
    names = site_names(sites)
    if labels < 1:
        raise ValueError(f"labels={labels}: a site has at least one kind of patients")

    def send(patients: Patients, seed: int) -> np.ndarray:
        kind = kinds(patients.labels)
        found = np.unique(kind)
        if not labels <= len(found) <= sites * labels:
            raise ValueError(
                f"sites={sites}, labels={labels}: the patients are of {len(found)} kinds, so labels "
                "must be at most that, and sites * labels at least that"
            )
        rng = np.random.default_rng(seed)
        order = rng.permutation(found)
        at = np.arange(sites * labels) % len(found)
        site = np.empty(len(kind), names.dtype)
        for number, one in enumerate(order):
            owners = names[np.flatnonzero(at == number) // labels]
            rows = rng.permutation(np.flatnonzero(kind == one))
            site[rows] = owners[np.arange(len(rows)) % len(owners)]
        return site

    return send
