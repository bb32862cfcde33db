"""Internal and external validation of site models: own site, other sites, and a pooled hold-out.

    own      internal: AUROC over all sites' test slices, each scored by its site's model
    other    external: mean over sites s of the AUROC of s's model on the test slices of all other sites
    holdout  external: mean over sites s of the AUROC of s's model on the hold-out

If one model serves all sites, the three differ only in their slices. Macro averages the labels that have both
classes among the slices; micro is the AUROC of all labels' scores pooled. The bootstrap resamples patients
within sites, with the same resamples for every model. A resample that loses a class of a macro label is
undefined.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from fl_jax.data.site_names import HOLDOUT
from fl_jax.evaluation import roc
from fl_jax.evaluation.bootstrap import Resampled, bootstrap, patient_weights

Floats = NDArray[np.float64]
PLACES = ("own", "other", HOLDOUT)
KINDS = ("macro", "micro")
NAMES = tuple(f"{place}_{kind}" for place in PLACES for kind in KINDS)
"""The statistics of `measure`."""


def measure(
    truth: NDArray[np.integer],
    scores: Floats,
    patient: NDArray[np.str_],
    site: NDArray[np.str_],
    sites: Sequence[str],
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> Resampled:
    """Bootstraps the six AUROCs over patients.

    Args:
        truth: int[N, L] in {0, 1}.
        scores: float64[S, N, L] of each site's model, or float64[1, N, L] of one model for all sites.
        patient: str[N].
        site: str[N]; a name outside `sites` is the hold-out.
        sites: the S site names, in the order of the models.
        resamples: R.
        seed: equal seeds and patients give equal resamples.

    Returns:
        `Resampled` with the names `NAMES`; NaN where no slice qualifies, such as `other` with one site.
    """
    if len(scores) not in (1, len(sites)):
        raise ValueError(
            f"scores has {len(scores)} models: pass 1, or one for each of {len(sites)} sites"
        )
    names, first, groups = np.unique(patient, return_index=True, return_inverse=True)
    weights = patient_weights(names.size, resamples=resamples, seed=seed, strata=site[first])
    at_site = np.array([site == name for name in sites])
    models = np.broadcast_to(scores, (len(sites), *scores.shape[1:]))
    by_own_model = np.select([rows[:, None] for rows in at_site], [*models], 0.0)
    internal = at_site.any(0)
    parts = {
        "own": [(by_own_model, internal)],
        "other": [(m, internal & ~rows) for m, rows in zip(models, at_site, strict=True)],
        HOLDOUT: [(m, ~internal) for m in scores],
    }

    def areas_of(scored: Floats, rows: NDArray[np.bool_]) -> Callable[[Floats], Floats]:
        return _areas(truth[rows], scored[rows], groups[rows], names.size)

    areas = [[areas_of(*pair) for pair in parts[place]] for place in PLACES]

    def statistic(weights: Floats) -> Floats:
        return np.concatenate([np.mean([area(weights) for area in each], axis=0) for each in areas])

    return bootstrap(statistic, NAMES, weights)


def micro_by_site(
    truth: NDArray[np.integer], scores: Floats, site: NDArray[np.str_], sites: Sequence[str]
) -> Floats:
    """Each model's micro AUROC on each site's slices, float64[S, M]; NaN where these lack a class.

    `truth` is int[N, L] in {0, 1}, `scores` float64[M, N, L] and `site` str[N].
    """
    return np.array(
        [
            [roc.auroc(truth[site == name].ravel(), m[site == name].ravel()) for m in scores]
            for name in sites
        ]
    )


def _areas(
    truth: NDArray[np.integer], scores: Floats, groups: NDArray[np.intp], count: int
) -> Callable[[Floats], Floats]:
    """Macro and micro AUROC, float64[2, R], as a function of the weights of `count` patients."""
    labels = np.flatnonzero(truth.any(0) & ~truth.all(0)) if len(truth) else []
    ranked = [roc.rank(truth[:, k], scores[:, k], groups, count) for k in labels]
    pooled = roc.rank(truth.ravel(), scores.ravel(), np.repeat(groups, truth.shape[1]), count)

    def areas(weights: Floats) -> Floats:
        undefined = np.full(weights.shape[1], np.nan)
        each = [roc.areas(ranking, weights)[0] for ranking in ranked]
        macro = np.mean(each, axis=0) if each else undefined
        return np.stack([macro, roc.areas(pooled, weights)[0]])

    return areas
