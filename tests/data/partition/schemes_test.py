"""Every scheme deals whole patients, by its seed alone, and makes the difference that it is for."""

import dataclasses

import numpy as np
import pytest
from make_patients import DATA, facts, sides

from fl_jax.core import spec
from fl_jax.core.types import LABELS
from fl_jax.data import partition as partitions
from fl_jax.data.partition.patients import gather, rarest_label

PACKAGE = "fl_jax.data.partition.schemes"
MADE = (
    *("iid(sites=4)", "dirichlet(sites=4, alpha=0.3)", "quantity(sites=4)"),
    *("pathological(sites=4, labels=2)", "acquisition(sites=4)", "acquisition(sites=4, mix=0.5)"),
)


@dataclasses.dataclass
class Cohort:
    """150 patients and a hold-out; three scanners, whose patients have the same labels."""

    patient: np.ndarray
    site: np.ndarray
    labels: np.ndarray
    dialect: dict[str, np.ndarray]
    linked: dict[str, str] = dataclasses.field(default_factory=dict)


def cohort():
    summary = facts({"x": 150, "holdout": 20}, seed=4)
    number = np.array([int(name.strip("xholdut")) for name in summary.patient])
    scanner = number % 3
    dialect = {
        "bits_stored": np.where(scanner == 0, 12, 16),
        "signed": (scanner > 0).astype(int),
        "intercept": np.where(scanner == 0, -1024.0, 0.0),
        "kernel": np.array(["H30s", "UB", "SOFT"])[scanner],
        "spacing": 0.4 + 0.001 * number,
    }
    labels = summary.labels.copy()
    labels[:, 0] = labels[:, 1:].any(1)
    return Cohort(summary.patient, summary.site, labels, dialect)


COHORT = cohort()


def make(text, slices=COHORT, seed=0, **options):
    return partitions.by_patient(slices, seed=seed, scheme=spec.build(text, PACKAGE), **options)


def sizes(partition):
    return np.array([(partition.site == site).sum() for site in partition.sites])


def per_site(partition, slices=COHORT):
    """[sites, L], the share of a site's patients that have each label."""
    units = gather(slices, {})
    at = np.searchsorted(units.name, partition.patient)
    return np.array([units.labels[at[partition.site == site]].mean(0) for site in partition.sites])


@pytest.mark.parametrize("text", MADE)
def test_a_scheme_deals_every_patient_once_by_the_seed_alone(text):
    partition = make(text)
    assert partition.sites == ("site_1", "site_2", "site_3", "site_4")
    assert sorted(partition.patient.tolist()) == sorted(set(COHORT.patient.tolist()))
    assert set(partition.patient[partition.split == "holdout"]) == set(
        COHORT.patient[COHORT.site == "holdout"]
    )
    for site in partition.sites:
        assert set(partition.split[partition.site == site]) == {"train", "validation", "test"}
    turned = dataclasses.replace(
        COHORT,
        **{name: getattr(COHORT, name)[::-1] for name in ("patient", "site", "labels")},
        dialect={name: column[::-1] for name, column in COHORT.dialect.items()},
    )
    assert sides(make(text, turned)) == sides(partition)
    assert sides(make(text, seed=1)) != sides(partition)


def test_iid_sites_are_equal():
    partition = make("iid(sites=4)")
    assert sizes(partition).tolist() == [38, 37, 38, 37]
    assert np.ptp(per_site(partition), axis=0).max() < 0.3


def test_dirichlet_skews_labels_more_the_smaller_alpha_is():
    spread = [
        np.ptp(per_site(make(f"dirichlet(4, alpha={a})")), axis=0)[1:].mean() for a in (0.1, 100)
    ]
    assert spread[0] > 0.5 > 0.25 > spread[1]
    assert sizes(make("dirichlet(4, alpha=0.05)")).min() >= 3


def test_quantity_skews_numbers():
    uneven, even = sizes(make("quantity(4, alpha=0.3)")), sizes(make("quantity(4, alpha=1000)"))
    assert uneven.max() > 4 * uneven.min()
    assert even.max() < 1.2 * even.min()


@pytest.mark.parametrize("labels", [2, 3])
def test_pathological_sites_have_so_many_kinds(labels):
    partition = make(f"pathological(sites=4, labels={labels})")
    units = gather(COHORT, {})
    training = units.site != "holdout"
    kind = dict(zip(units.name[training], rarest_label(units.labels[training]), strict=True))
    for site in partition.sites:
        assert len({kind[p] for p in partition.patient[partition.site == site]}) == labels
    assert len(set(kind.values())) == len(LABELS)  # five subtypes and none


def test_a_kind_is_the_rarest_label():
    labels = np.zeros((5, 6), bool)
    labels[:4, 0] = True
    labels[0, 1] = labels[1, 1] = labels[1, 2] = True
    assert rarest_label(labels).tolist() == [1, 2, 0, 0, -1]
    assert rarest_label(labels[:1]).tolist() == [1]  # as rare as `any` is its only subtype


def test_acquisition_keeps_scanners_together_and_labels_out_of_it():
    def scanners(split):
        kernel = dict(zip(COHORT.patient.tolist(), COHORT.dialect["kernel"], strict=True))
        return [len({kernel[p] for p in split.patient[split.site == site]}) for site in split.sites]

    assert scanners(make("acquisition(sites=3)")) == [1, 1, 1]
    assert scanners(make("acquisition(sites=6)")) == [1] * 6
    assert scanners(make("acquisition(sites=3, mix=1.0)")) == [3, 3, 3]
    other = dataclasses.replace(COHORT, labels=COHORT.labels[::-1])
    moved = {p: site for p, (site, _) in sides(make("acquisition(sites=4)", other)).items()}
    assert moved == {p: site for p, (site, _) in sides(make("acquisition(sites=4)")).items()}


def unevenness(partition, fractions=(0.7, 0.15, 0.15)):
    """The most patients by which a label's positives in a site's split miss their fraction."""
    units = gather(COHORT, {})
    at = np.searchsorted(units.name, partition.patient)
    most = 0.0
    for site in partition.sites:
        here = partition.site == site
        total = units.labels[at[here]].sum(0)
        for split, fraction in zip(partitions.SPLITS, fractions, strict=False):
            got = units.labels[at[here & (partition.split == split)]].sum(0)
            most = max(most, np.abs(got - fraction * total).max())
    return most


@pytest.mark.parametrize("text", MADE)
def test_label_rates_differ_little_between_splits(text):
    partition = make(text, stratify="exchange")
    assert unevenness(partition) <= min(2, unevenness(make(text)))
    splits = [(partition.site == site) & (partition.split == "train") for site in partition.sites]
    greedy = make(text)
    assert [s.sum() for s in splits] == [
        ((greedy.site == site) & (greedy.split == "train")).sum() for site in partition.sites
    ]


# --- folds


def test_every_patient_is_tested_in_one_fold():
    folds = [partitions.by_patient(DATA, seed=0, folds=5, fold=number) for number in range(5)]
    tested = [fold.patient[fold.split == "test"] for fold in folds]
    training = set(DATA.patient[DATA.site != "holdout"])
    assert sorted(np.concatenate(tested)) == sorted(training)
    for fold in folds:
        at_a = fold.split[fold.site == "a"]
        assert [(at_a == s).sum() for s in ("train", "validation", "test")] == [26, 6, 8]


@pytest.mark.parametrize(("folds", "fold"), [(0, 0), (5, 5), (5, -1), (1, 1)])
def test_bad_folds(folds, fold):
    with pytest.raises(ValueError, match=f"folds={folds}, fold={fold}"):
        partitions.by_patient(DATA, seed=0, folds=folds, fold=fold)


def test_an_unknown_stratification():
    with pytest.raises(ValueError, match="stratify='best': must be 'greedy' or 'exchange'"):
        partitions.by_patient(DATA, seed=0, stratify="best")


def test_a_site_with_fewer_patients_than_folds():
    with pytest.raises(ValueError, match=r"site 'b' has 11 patients: .* at least 12"):
        partitions.by_patient(DATA, seed=0, folds=12, fold=0)


# --- patients that belong together

GROUPS = {"x3": "g", "x77": "g", "x140": "g", "x8": "h", "x9": "h"}


@pytest.mark.parametrize("text", ["natural()", *MADE])
@pytest.mark.parametrize("seed", range(3))
def test_linked_patients_stay_on_one_side(text, seed):
    partition = sides(make(text, seed=seed, groups=GROUPS))
    assert len(partition) == 170
    assert partition["x3"] == partition["x77"] == partition["x140"]
    assert partition["x8"] == partition["x9"]
    linked = dataclasses.replace(COHORT, linked=GROUPS)
    assert sides(make(text, linked, seed=seed)) == partition


def test_groups_of_one_change_nothing():
    alone = {name: f"group of {name}" for name in COHORT.patient.tolist()}
    assert sides(make("natural()", groups=alone)) == sides(make("natural()"))


def test_linked_patients_at_two_sites_or_splits_are_named():
    with pytest.raises(ValueError, match="'x3', linked to 'holdout1', is at site"):
        make("natural()", groups={"x3": "g", "holdout1": "g"})
    partition = make("natural()")
    two = {partition.split[partition.patient == name][0]: name for name in partition.patient}
    linked = dict.fromkeys((two["train"], two["test"]), "g")
    with pytest.raises(ValueError, match="share a picture: put both in one split"):
        partitions.check_disjoint(partition, dataclasses.replace(COHORT, linked=linked))


# --- errors


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("random(3)", "no 'random' in .*; there are: acquisition, dirichlet, iid, natural"),
        ("iid(0)", "sites=0"),
        ("iid()", "the signature is"),
        ("dirichlet(4, alpha=0)", "alpha=0"),
        ("pathological(4, labels=0)", "labels=0"),
        ("pathological(4, labels=7)", "labels=7: the patients are of 6 kinds"),
        ("pathological(2, labels=2)", "sites=2, labels=2"),
        ("acquisition(4, mix=2)", "mix=2"),
        ("iid(3", "not a literal call"),
        ("iid(60)", "has 2 patients.*have fewer sites"),
        ("dirichlet(60)", "minimum=3"),
    ],
)
def test_bad_schemes(text, message):
    with pytest.raises(ValueError, match=message):
        make(text)


def test_acquisition_needs_headers_and_every_scheme_needs_labels():
    with pytest.raises(ValueError, match="does not tell how its files were written"):
        make("acquisition(3)", DATA)
    unknown = DATA._replace(labels=np.full(DATA.labels.shape, -1, np.int8))
    with pytest.raises(ValueError, match="no labels"):
        partitions.by_patient(unknown, seed=0)


@pytest.mark.parametrize("scheme", ["iid", "dirichlet", "quantity", "pathological", "acquisition"])
@pytest.mark.parametrize("sites", [0, -5, 100_001, 2_000_000_000])
def test_a_number_of_sites_is_bounded_before_work_begins(scheme, sites):
    with pytest.raises(ValueError, match=f"sites={sites}: must be 1 to 100000"):
        spec.build(f"{scheme}(sites={sites})", PACKAGE)


@pytest.mark.parametrize("scheme", ["dirichlet", "quantity"])
@pytest.mark.parametrize("alpha", ["0", "-1.0", "1e-320", "1e308", "1e999"])
def test_an_alpha_that_numpy_cannot_draw_with_is_refused(scheme, alpha):
    with pytest.raises(ValueError, match="alpha"):
        spec.build(f"{scheme}(sites=3, alpha={alpha})", PACKAGE)
