import numpy as np

from fl_jax.data import partition
from fl_jax.report import partition_figure


def test_patients_are_counted_by_site_split_and_label(slices):
    made = partition.by_patient(slices, seed=0)
    sites, found = partition_figure.counts(slices, made)
    assert sites == ["a", "b", "c", "holdout"]
    assert found.shape == (4, 4, 7)
    at_a = set(made.patient[(made.site == "a") & (made.split == "train")])
    has = {p: slices.labels[slices.patient == p].any(0) for p in at_a}
    assert found[0, 0].tolist() == [
        sum(not labels.any() for labels in has.values()),
        *np.sum(list(has.values()), axis=0).tolist(),
    ]


def test_the_picture_is_a_png(slices):
    made = partition.by_patient(slices, seed=0)
    assert partition_figure.draw(slices, made).startswith(b"\x89PNG")
