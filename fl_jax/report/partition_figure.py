"""Plots a partition: patients by site, label and split."""

import io

import numpy as np
from matplotlib.figure import Figure

from fl_jax.core.types import LABELS
from fl_jax.data.partition import SPLITS, HasPatients, Partition
from fl_jax.report.style import PAPER, RULE, drawing

SHADES = ("#0072b2", "#56b4e9", "#e69f00", "#999999")
"""A colour for each split, from Okabe and Ito's palette."""
NO_BLEED = "no bleeding"


def counts(slices: HasPatients, partition: Partition) -> tuple[list[str], np.ndarray]:
    """Counts patients by site, split and label.

    Args:
        slices: the dataset.
        partition: of these slices.

    Returns:
        The S sites in alphabetical order, and int[S, splits, 1 + L]: patients without any label, then
        patients with each label. A patient with two labels counts under both.
    """
    patients, inverse = np.unique(slices.patient, return_inverse=True)
    has = np.zeros((len(patients), len(LABELS)), bool)
    np.logical_or.at(has, inverse, slices.labels > 0)
    has = np.concatenate([~has.any(1, keepdims=True), has], axis=1)
    sites = sorted(set(partition.site.tolist()))
    has = has[np.searchsorted(patients, partition.patient)]
    masks = [[(partition.site == a) & (partition.split == b) for b in SPLITS] for a in sites]
    return sites, np.array([[has[mask].sum(0) for mask in row] for row in masks])


def draw(slices: HasPatients, partition: Partition) -> bytes:
    """Draws stacked bars as PNG: a panel a site, a bar a label, patients by split."""
    sites, table = counts(slices, partition)
    columns = min(3, len(sites))
    rows = -(-len(sites) // columns)
    with drawing():
        figure = Figure(figsize=(1 + 3.1 * columns, 0.7 + 1.9 * rows), layout="constrained")
        panels = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
        for panel, name, by_split in zip(panels, sites, table, strict=False):
            start = np.zeros(by_split.shape[1])
            for split, shade, patients in zip(SPLITS, SHADES, by_split, strict=True):
                panel.barh([NO_BLEED, *LABELS], patients, left=start, color=shade, label=split)
                start += patients
            panel.set_title(f"{name}: {(partition.site == name).sum()} patients")
            panel.grid(axis="x", color=RULE)
            panel.set_axisbelow(True)
        panels[0].invert_yaxis()
        for panel in panels[len(sites) :]:
            panel.set_visible(False)
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(SPLITS), frameon=False)
        picture = io.BytesIO()
        figure.savefig(picture, format="png", dpi=110, facecolor=PAPER)
    return picture.getvalue()
