"""Label skew: each class is distributed over the sites with shares from a Dirichlet distribution.

share[class] ~ Dirichlet(alpha, ..., alpha)   over the S sites;   small alpha: a class is at few sites

Reference: Hsu, Qi and Brown, "Measuring the Effects of Non-Identical Data Distribution for Federated Visual
Classification", arXiv:1909.06335, 2019. There a site draws its classes; here, as is usual since then, a class
draws its sites, so that no example is left over.
"""

import numpy as np


def dirichlet(
    labels: np.ndarray, sites: int, *, alpha: float, seed: int, minimum: int = 1
) -> tuple[np.ndarray, ...]:
    """Distributes examples over sites.

    Guarantees: every example is at exactly one site. A pure function of its arguments.

    Args:
        labels: int[N], the class of each example.
        sites: S.
        alpha: 1e-6 to 1e6; at 0.1 most sites have one to three classes, at 100 they are nearly alike.
        seed: draws the shares and which examples they consist of.
        minimum: examples that every site has at least. The largest site gives examples, one at a time, to a
            site with fewer; other sites keep their draw.

    Returns:
        The positions of each site's examples in `labels`, int64, ascending.

    Raises:
        ValueError: alpha out of range, no site, or too few examples for the minimum.
    """
    labels = np.asarray(labels)
    if sites < 1:
        raise ValueError(f"sites={sites}: must be at least 1")
    check_alpha(alpha)
    if minimum < 0 or minimum * sites > len(labels):
        raise ValueError(
            f"minimum={minimum}: must be at least 0, and {sites} sites with so many examples each need "
            f"{minimum * sites}; there are {len(labels)}"
        )
    generator = np.random.default_rng(seed)
    positions: list[list[int]] = [[] for _ in range(sites)]
    for label in np.unique(labels):
        rows = generator.permutation(np.flatnonzero(labels == label))
        ends = np.cumsum(generator.dirichlet(np.full(sites, alpha)))
        cuts = np.rint(ends[:-1] * len(rows)).astype(int)
        for site, part in zip(positions, np.split(rows, cuts), strict=True):
            site.extend(part.tolist())
    while len(short := min(positions, key=len)) < minimum:
        giver = max(positions, key=len)
        short.append(giver.pop(int(generator.integers(len(giver)))))
    return tuple(np.sort(np.array(site, np.int64)) for site in positions)


def check_alpha(alpha: float) -> None:
    """Raises ValueError if NumPy cannot draw from a Dirichlet distribution with this parameter."""
    if not 1e-6 <= alpha <= 1e6:
        raise ValueError(
            f"alpha={alpha}: must be 1e-6 to 1e6; 0.1 is a strong skew, 100 is nearly none"
        )
