"""A hospital's model at home, elsewhere and on patients of nobody, against sums by hand."""

import numpy as np
import pytest

from fl_jax.evaluation import internal_external, roc

SITES = ("a", "b")
SITE = np.repeat(["a", "b", "holdout"], 8)
PATIENT = np.array([f"{s}{n // 2}" for s, n in zip(SITE, [*range(8)] * 3, strict=True)])
TRUTH = np.tile([[1, 0], [0, 1], [1, 1], [0, 0]], (6, 1))


def good_at(*sites):
    """Scores that are the truth at some sites, and its opposite elsewhere."""
    return np.where(np.isin(SITE, sites)[:, None], TRUTH, 1.0 - TRUTH)


def measured(scores, **options):
    found = internal_external.measure(TRUTH, np.stack(scores), PATIENT, SITE, SITES, **options)
    return dict(zip(found.names, found.estimate, strict=True)), found


def test_models_of_their_own_sites():
    found, _ = measured([good_at("a"), good_at("b", "holdout")])
    for kind in internal_external.KINDS:
        assert found[f"own_{kind}"] == 1
        assert found[f"other_{kind}"] == 0
        assert found[f"holdout_{kind}"] == 0.5  # of the one it is 0, of the other 1


def test_one_model_for_all_and_its_resamples():
    scores = np.random.default_rng(0).random((24, 2))
    found, drawn = measured([scores], resamples=50)
    inside, here = SITE != "holdout", SITE == "a"

    def macro(rows):
        return np.mean([roc.auroc(TRUTH[rows, k], scores[rows, k]) for k in range(2)])

    assert found["own_macro"] == pytest.approx(macro(inside))
    assert found["other_macro"] == pytest.approx((macro(here) + macro(SITE == "b")) / 2)
    assert found["holdout_micro"] == pytest.approx(
        roc.auroc(TRUTH[~inside].ravel(), scores[~inside].ravel())
    )
    assert drawn.samples.shape == (6, 50)
    assert drawn.samples[0].std() > 0
    again = internal_external.measure(TRUTH, scores[None], PATIENT, SITE, SITES, resamples=50)
    np.testing.assert_array_equal(drawn.samples, again.samples)
    twice = measured([scores, scores], resamples=50)[1]
    np.testing.assert_allclose(twice.samples, drawn.samples)


def test_what_is_not_there_is_undefined():
    rows = SITE == "a"
    found = internal_external.measure(
        TRUTH[rows], good_at("a")[None, rows], PATIENT[rows], SITE[rows], ["a"], resamples=3
    )
    found = dict(zip(found.names, found.estimate, strict=True))
    assert found["own_macro"] == found["own_micro"] == 1
    assert all(
        np.isnan(found[f"{p}_{k}"]) for p in ("other", "holdout") for k in ("macro", "micro")
    )


def test_models_neither_one_nor_one_a_site():
    with pytest.raises(ValueError, match="has 3 models"):
        measured([good_at("a")] * 3)


def test_every_model_at_every_site():
    found = internal_external.micro_by_site(
        TRUTH, np.stack([good_at("a"), good_at("a", "b")]), SITE, SITES
    )
    np.testing.assert_array_equal(found, [[1, 1], [0, 1]])
