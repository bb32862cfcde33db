"""Shortcut scores and pairs of like area, against counting by hand."""

import time

import numpy as np
import pytest
import slice_scores

from fl_jax.core.types import LABELS
from fl_jax.evaluation import predictions, roc, shortcuts
from fl_jax.evaluation.bootstrap import patient_weights
from fl_jax.evaluation.shortcuts import BRIGHT, SOFT, Shortcuts, by_slice, by_unit, match, section
from fl_jax.evaluation.tissue import Tissue


def _pairs(truth, area, tolerance):
    return [
        (i, j)
        for i in np.flatnonzero(truth)
        for j in np.flatnonzero(1 - truth)
        if min(area[i], area[j]) >= (1 - tolerance) * max(area[i], area[j]) * (1 - 1e-12)
    ]


def _win(scores, i, j):
    return float(scores[i] > scores[j]) + (scores[i] == scores[j]) / 2


def _listed(pairs):
    return [
        (int(row), int(pairs.negative[at]))
        for row, first, count in zip(pairs.positive, pairs.first, pairs.sizes, strict=True)
        for at in range(first, first + count)
    ]


@pytest.mark.parametrize("tolerance", [0.0, 0.1, 0.5])
def test_the_pairs_are_those_of_two_loops(tolerance):
    rng = np.random.default_rng(0)
    truth, area = rng.integers(0, 2, 60), rng.integers(0, 40, 60).astype(float)
    found = _listed(match(truth, area, tolerance=tolerance))
    assert sorted(found) == sorted(_pairs(truth, area, tolerance))
    assert len({*found}) == len(found)


def test_a_pair_exactly_at_the_tolerance_counts_and_so_do_two_empty_slices():
    assert match([1, 0], [9.0, 10.0]).total == match([1, 0], [10.0, 9.0]).total == 1
    assert match([1, 0], [9.0, 10.01]).total == match([1, 0], [10.01, 9.0]).total == 0
    assert match([1, 0, 0], [0.0, 0.0, 1.0]).total == 1


def _data(seed=0, patients=14, slices=6):
    data = slice_scores.cohort(patients, slices, seed=seed)
    rng = np.random.default_rng(seed)
    area = rng.integers(5, 30, data.image.size).astype(float)
    tied = data._replace(scores=data.scores.round(1))
    tissue = Tissue(data.image, area, rng.random(area.size), "cm²")
    return tied, tissue


def test_every_number_is_that_of_a_loop_over_pairs_and_resamples():
    data, tissue = _data()
    shuffled = np.random.default_rng(1).permutation(data.image.size)
    mixed = Tissue(*(field[shuffled] for field in tissue[:3]), tissue.unit)
    result = section({"model": data}, by_slice(mixed), resamples=200, seed=3)
    names, first, groups = np.unique(data.patient, return_index=True, return_inverse=True)
    weights = patient_weights(names.size, resamples=200, seed=3, strata=data.site[first])
    every = {"model": data.scores, SOFT: tissue.soft, BRIGHT: tissue.bright}
    macro = []
    for n, label in enumerate(LABELS):
        pairs = _pairs(data.truth[:, n], tissue.soft, 0.1)
        assert result["pairs"][label] == result["pairs_used"][label] == len(pairs)
        for name, scores in every.items():
            column = scores[:, n] if name == "model" else scores
            wins = np.array([_win(column, i, j) for i, j in pairs])
            cell = result["matched"][name][label]
            assert cell["estimate"] == pytest.approx(wins.mean())
            times = np.array([weights[groups[i]] * weights[groups[j]] for i, j in pairs])
            drawn = (wins[:, None] * times).sum(axis=0) / times.sum(axis=0)
            limits = np.quantile(drawn, [0.025, 0.975])
            assert [cell["low"], cell["high"]] == pytest.approx(limits.tolist())
            area = result["auroc"][name][label]["estimate"]
            assert area == pytest.approx(roc.auroc(data.truth[:, n], column))
            macro += [wins.mean()] if name == "model" else []
    assert result["matched"]["model"]["macro"]["estimate"] == pytest.approx(np.mean(macro))
    assert result["shortcuts"] == [SOFT, BRIGHT]
    assert result["undefined"] == {}


def test_blocks_and_a_limit_on_pairs_change_nothing_but_which_positives_count(monkeypatch):
    data, tissue = _data()
    whole = section({"model": data}, by_slice(tissue), resamples=20)
    monkeypatch.setattr(shortcuts, "BLOCK", 7)
    blocks = section({"model": data}, by_slice(tissue), resamples=20)
    assert blocks == whole
    few = match(data.truth[:, 0], tissue.soft, most=40)
    everything = {*_listed(match(data.truth[:, 0], tissue.soft))}
    assert 0 < few.sizes.sum() <= 40 < few.total == len(everything)
    assert {*_listed(few)} < everything


def test_a_shortcut_that_is_the_truth_is_named_in_either_direction():
    data, tissue = _data()
    for sign in (1, -1):
        bright = 5 + sign * data.truth[:, 0].astype(float)
        result = section({"model": data}, by_slice(tissue._replace(bright=bright)), resamples=20)
        assert result["solved"] == [BRIGHT]
        assert result["matched"][BRIGHT]["any"]["estimate"] == (1 if sign == 1 else 0)
    # A model that knows the area alone has a high AUROC, and nothing is left of it on pairs of like area.
    area = data.truth[:, 0] * 40 + np.tile([5.0, 6, 7], 28)
    knows = data._replace(scores=np.repeat(area[:, None] / 50, 6, axis=1))
    result = section({"knows": knows}, by_slice(tissue._replace(soft=area)), resamples=20)
    assert result["auroc"]["knows"]["any"]["estimate"] == 1
    assert result["undefined"] == {"any": "no pair of like area"}
    assert np.isnan(result["matched"]["knows"]["any"]["estimate"])


def test_without_a_class_the_reason_is_said():
    data, tissue = _data()
    truth = data.truth.copy()
    truth[:, 1], truth[:, 2] = 0, 1
    result = section({"m": data._replace(truth=truth)}, by_slice(tissue), resamples=20)
    assert result["undefined"] == {"epidural": "no positive", "intraparenchymal": "no negative"}
    assert np.isnan(result["matched"]["m"]["epidural"]["estimate"])
    assert not np.isnan(result["matched"]["m"]["macro"]["estimate"])
    assert np.isnan(result["auroc"]["m"]["epidural"]["estimate"])
    negative = data._replace(truth=np.zeros_like(data.truth))
    result = section({"m": negative}, by_slice(tissue), resamples=20)
    assert result["solved"] == []
    assert np.isnan(result["matched"]["m"]["macro"]["estimate"])


def test_a_patient_has_the_largest_slice_and_the_sum():
    tissue = Tissue(np.array(["a", "b", "c"]), np.array([3.0, 1, 2]), np.array([0.0, 2, 1]), "cm²")
    given = by_unit(tissue, ["q", "p", "q"])
    assert given.name.tolist() == ["p", "q"]
    assert {name: values.tolist() for name, values in given.scores.items()} == {
        f"{SOFT}, largest slice": [1, 3],
        f"{SOFT}, all slices": [1, 5],
        f"{BRIGHT}, largest slice": [2, 1],
        f"{BRIGHT}, all slices": [2, 1],
    }
    assert given.area.tolist() == [1, 3]


def test_bad_input_is_named():
    data, tissue = _data()
    with pytest.raises(ValueError, match="lacks some of the images"):
        section({"m": data}, by_slice(Tissue(*(field[1:] for field in tissue[:3]), "cm²")))
    with pytest.raises(ValueError, match="lacks some of the images"):
        section({"m": data}, Shortcuts(np.zeros(0, str), {}, np.zeros(0), "cm²"))
    with pytest.raises(ValueError, match="tolerance=1"):
        match([0, 1], [1, 1], tolerance=1)
    with pytest.raises(ValueError, match="area holds NaN"):
        match([0, 1], [1, np.nan])


def test_millions_of_pairs_take_seconds():
    data = slice_scores.cohort(125, 40)
    area = np.random.default_rng(0).uniform(5, 150, data.image.size)
    tissue = Tissue(data.image, area, area, "cm²")
    rows = predictions.select(data, np.arange(data.image.size))
    start = time.process_time()
    result = section({"m": data, "n": rows}, by_slice(tissue), resamples=100)
    assert min(result["pairs"].values()) > 400_000
    assert time.process_time() - start < 30
