import numpy as np
from matplotlib.figure import Figure

from fl_jax.data import partition
from fl_jax.report import partition_figure


def test_patients_are_counted_by_site_split_and_label(slices):
    made = partition.by_patient(slices, seed=0)
    sites, table = partition_figure.counts(slices, made)
    assert sites == ["a", "b", "c", "holdout"]
    assert table.shape == (4, 4, 7)
    at_a = set(made.patient[(made.site == "a") & (made.split == "train")])
    has = {p: slices.labels[slices.patient == p].any(0) for p in at_a}
    assert table[0, 0].tolist() == [
        sum(not labels.any() for labels in has.values()),
        *np.sum(list(has.values()), axis=0).tolist(),
    ]


def test_bars_stack_the_counts_of_the_splits(slices, monkeypatch):
    made = partition.by_patient(slices, seed=0)
    figures = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: figures.append(figure))
    partition_figure.draw(slices, made)
    sites, table = partition_figure.counts(slices, made)
    for panel, site, counts in zip(figures[0].axes, sites, table, strict=False):
        assert panel.get_title(loc="left").startswith(f"{site}: ")
        widths = [[bar.get_width() for bar in bars] for bars in panel.containers]
        np.testing.assert_array_equal(widths, counts)
        starts = [[bar.get_x() for bar in bars] for bars in panel.containers]
        np.testing.assert_array_equal(starts, np.cumsum(counts, 0) - counts)
