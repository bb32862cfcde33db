"""Every patient gets one site and one split; splits keep their sizes and their label rates."""

import numpy as np
import pytest
from make_patients import DATA, Facts, facts, sides

from fl_jax.data import partition as partitions


def test_the_partition_stays_what_it_was():
    # The partition of the first version. A change here changes all new experiments and the README.
    partition = partitions.by_patient(facts({"a": 6, "b": 4, "holdout": 1}, seed=2), seed=3)
    assert ["/".join(line) for line in zip(*(c.tolist() for c in partition), strict=True)] == [
        *("a1/a/train", "a2/a/train", "a3/a/train", "a5/a/train", "a4/a/validation", "a0/a/test"),
        *("b1/b/train", "b3/b/train", "b0/b/validation", "b2/b/test", "holdout0/holdout/holdout"),
    ]


def test_every_patient_once_and_whole():
    partition = partitions.by_patient(DATA, seed=0)
    assert sorted(partition.patient.tolist()) == sorted(set(DATA.patient.tolist()))
    rows = [partition.rows(DATA, split) for split in partitions.SPLITS]
    assert sorted(np.concatenate(rows).tolist()) == list(range(len(DATA.patient)))
    for i, left in enumerate(rows):
        for right in rows[i + 1 :]:
            assert not set(DATA.patient[left]) & set(DATA.patient[right])
    assert set(DATA.site[partition.rows(DATA, "holdout")]) == {"holdout"}
    assert partition.sites == ("a", "b")


def test_sizes_are_the_fractions():
    partition = partitions.by_patient(DATA, fractions=(0.6, 0.2, 0.2), seed=0)
    at_a = partition.split[partition.site == "a"]
    assert [int((at_a == split).sum()) for split in partitions.SPLITS[:3]] == [24, 8, 8]


def test_rows_of_a_site_are_its_own_in_order():
    partition = partitions.by_patient(DATA, seed=0)
    at_a, at_b = (partition.rows(DATA, "train", site) for site in "ab")
    assert set(DATA.site[at_a]) == {"a"}
    assert (np.diff(at_a) > 0).all()
    assert sorted([*at_a, *at_b]) == partition.rows(DATA, "train").tolist()
    assert partition.rows(DATA, "train", "holdout").size == 0


def test_the_seed_decides_and_the_order_of_rows_does_not():
    first, again = (partitions.by_patient(DATA, seed=3) for _ in range(2))
    turned = partitions.by_patient(Facts(*(column[::-1] for column in DATA)), seed=3)
    other = partitions.by_patient(DATA, seed=4)
    for a, b in ((first, again), (first, turned)):
        assert all((x == y).all() for x, y in zip(a, b, strict=True))
    assert sides(first) != sides(other)


def test_a_site_that_comes_or_goes_changes_no_other():
    keep = np.isin(DATA.site, ["a", "b"])
    both = Facts(*(column[keep] for column in DATA))
    with_b = partitions.by_patient(both, seed=1)
    alone = partitions.by_patient(Facts(*(c[both.site == "b"] for c in both)), seed=1)
    assert sides(alone).items() < sides(with_b).items()


@pytest.mark.parametrize("patients", [3, 4, 5, 6, 7])
@pytest.mark.parametrize("seed", range(4))
def test_tiny_sites_keep_three_splits(patients, seed):
    partition = partitions.by_patient(facts({"tiny": patients}, seed=seed), seed=seed)
    assert set(partition.split) == {"train", "validation", "test"}
    assert (partition.split == "train").sum() >= 1
    assert len(partition.patient) == patients


def test_labels_follow_the_fractions_better_than_chance():
    data = facts({"a": 100}, seed=5)
    names, inverse = np.unique(data.patient, return_inverse=True)
    has = np.zeros((len(names), 6), bool)
    np.logical_or.at(has, inverse, data.labels > 0)

    def unevenness(split):
        shares = [has[split == s].sum(0) / has.sum(0) for s in partitions.SPLITS[:3]]
        return np.abs(np.array(shares) - np.array([[0.7], [0.15], [0.15]])).max()

    partition = partitions.by_patient(data, seed=0)
    ours = unevenness(partition.split[np.argsort(partition.patient)])
    rng = np.random.default_rng(0)
    chance = [unevenness(rng.permutation(partition.split)) for _ in range(200)]
    assert ours <= np.quantile(chance, 0.02)
    assert ours < 0.07  # two of some thirty patients


def test_a_rare_label_reaches_every_split():
    data = facts({"a": 20})
    names = np.unique(data.patient)
    labels = np.zeros_like(data.labels)
    labels[np.isin(data.patient, names[[2, 9, 15]]), 1] = 1  # three epidural patients
    partition = partitions.by_patient(data._replace(labels=labels), seed=0)
    where = partition.split[np.isin(partition.patient, names[[2, 9, 15]])]
    assert sorted(where) == ["test", "train", "validation"]


@pytest.mark.parametrize(
    "fractions", [(0.5, 0.5), (0.8, 0.2, 0.0), (0.7, 0.2, 0.2), (1.2, -0.1, -0.1)]
)
def test_bad_fractions(fractions):
    with pytest.raises(ValueError, match="fractions"):
        partitions.by_patient(DATA, fractions=fractions, seed=0)


def test_a_site_with_two_patients_is_named():
    with pytest.raises(ValueError, match="site 'few' has 2 patients"):
        partitions.by_patient(facts({"a": 5, "few": 2}), seed=0)


def test_a_patient_at_two_sites_is_named():
    site = DATA.site.copy()
    row = np.flatnonzero(DATA.patient == "a7")[0]
    site[row] = "b"
    with pytest.raises(ValueError, match="patient 'a7' is at site"):
        partitions.by_patient(DATA._replace(site=site), seed=0)
