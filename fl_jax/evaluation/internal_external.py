"""What a site's model is worth at home, at the other sites, and on patients that belong to no site.

own      = AUROC over all sites' test slices, each scored by its own site's model
other    = mean over sites s of the AUROC of s's model over the test slices of all sites but s
holdout  = mean over sites s of the AUROC of s's model over the hold-out

With one model for all sites the three differ by their slices alone. Macro is the mean over the labels that
have both classes among the slices, micro one area over all labels' scores pooled. Patients are resampled
within their sites, the same ones for every model; a resample in which a label of macro loses a class is
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
    """The six AUROCs, resampled by patient.

    Args:
        truth: int[N, L] in {0, 1}.
        scores: float64[S, N, L], of each site's model, or float64[1, N, L] of one model for all.
        patient: str[N].
        site: str[N]; what is none of `sites` is the hold-out.
        sites: the S sites' names, in the order of the models.
        resamples: R.
        seed: of the resamples; equal ones for equal patients.

    Returns:
        `Resampled` with the names `NAMES`; NaN where there are no such slices, as `other` with one site.

    Raises:
        ValueError: when the number of models is neither 1 nor S.
    """
    if len(scores) not in (1, len(sites)):
        raise ValueError(f"scores of {len(scores)} models: give 1, or one a site, {len(sites)}")
    names, first, groups = np.unique(patient, return_index=True, return_inverse=True)
    weights = patient_weights(names.size, resamples=resamples, seed=seed, strata=site[first])
    here = np.array([site == name for name in sites])
    models = np.broadcast_to(scores, (len(sites), *scores.shape[1:]))
    own = np.select([h[:, None] for h in here], [*models], 0.0)
    inside = here.any(0)
    parts = {
        "own": [(own, inside)],
        "other": [(m, inside & ~h) for m, h in zip(models, here, strict=True)],
        HOLDOUT: [(m, ~inside) for m in scores],
    }

    def one(scored: Floats, rows: NDArray[np.bool_]) -> Callable[[Floats], Floats]:
        return _areas(truth[rows], scored[rows], groups[rows], names.size)

    ready = [[one(*pair) for pair in parts[place]] for place in PLACES]

    def statistic(of: Floats) -> Floats:
        return np.concatenate([np.mean([area(of) for area in each], axis=0) for each in ready])

    return bootstrap(statistic, NAMES, weights)


def micro_at(
    truth: NDArray[np.integer], scores: Floats, site: NDArray[np.str_], sites: Sequence[str]
) -> Floats:
    """Each model's micro AUROC on each site's slices.

    Args:
        truth: see `measure`.
        scores: float64[M, N, L].
        site: see `measure`.
        sites: see `measure`.

    Returns:
        float64[S, M]; NaN where a site's slices lack a class.
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
    """Macro and micro as a function of the weights of `count` patients: float64[2, R]."""
    labels = np.flatnonzero(truth.any(0) & ~truth.all(0)) if len(truth) else []
    ranked = [roc.rank(truth[:, k], scores[:, k], groups, count) for k in labels]
    pooled = roc.rank(truth.ravel(), scores.ravel(), np.repeat(groups, truth.shape[1]), count)

    def areas(weights: Floats) -> Floats:
        undefined = np.full(weights.shape[1], np.nan)
        each = [roc.areas(ranking, weights)[0] for ranking in ranked]
        macro = np.mean(each, axis=0) if each else undefined
        return np.stack([macro, roc.areas(pooled, weights)[0]])

    return areas
