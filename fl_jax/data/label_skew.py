"""Sites whose labels differ: each class is dealt to the sites in shares drawn from a Dirichlet distribution.

share[class] ~ Dirichlet(alpha, ..., alpha)   over the S sites;   small alpha: few sites hold a class

Reference: Hsu, Qi and Brown, "Measuring the Effects of Non-Identical Data Distribution for Federated Visual
Classification", arXiv:1909.06335, 2019; there a site draws its classes, here, as is usual since, a class its
sites, so that nothing is left over.
"""

import numpy as np


def dirichlet(
    labels: np.ndarray, sites: int, *, alpha: float, seed: int, minimum: int = 1
) -> tuple[np.ndarray, ...]:
    """Deals examples to sites.

    Guarantees: every example is at one site. A pure function of its arguments.

    Args:
        labels: int[N], each example's class.
        sites: S.
        alpha: > 0; at 0.1 most sites hold one to three classes, at 100 they are nearly alike.
        seed: of the shares, and of which examples a share is.
        minimum: what every site has at least. One that was dealt fewer gets, one by one, an example of
            the site that has most then; so the skew stays as drawn where enough was dealt.

    Returns:
        For each site the positions of its examples in `labels`, int64, ascending.

    Raises:
        ValueError: when `alpha` is not positive, there is no site, or too few examples for the minimum.
    """
    labels = np.asarray(labels)
    if sites < 1:
        raise ValueError(f"sites={sites}: must be at least 1")
    if not alpha > 0:
        raise ValueError(
            f"alpha={alpha}: must be above 0; 0.1 is a strong skew, 100 is nearly none"
        )
    if minimum < 0 or minimum * sites > len(labels):
        raise ValueError(
            f"minimum={minimum}: must be at least 0, and {sites} sites with so many examples each need "
            f"{minimum * sites}; there are {len(labels)}"
        )
    generator = np.random.default_rng(seed)
    dealt: list[list[int]] = [[] for _ in range(sites)]
    for label in np.unique(labels):
        rows = generator.permutation(np.flatnonzero(labels == label))
        ends = np.cumsum(generator.dirichlet(np.full(sites, alpha)))
        cuts = np.rint(ends[:-1] * len(rows)).astype(int)
        for site, part in zip(dealt, np.split(rows, cuts), strict=True):
            site.extend(part.tolist())
    while len(short := min(dealt, key=len)) < minimum:
        giver = max(dealt, key=len)
        short.append(giver.pop(int(generator.integers(len(giver)))))
    return tuple(np.sort(np.array(site, np.int64)) for site in dealt)
