"""A picture of a partition: how many patients with each label every site got, split by split."""

import io

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from fl_jax.core.types import LABELS
from fl_jax.data.partition import SPLITS, HasPatients, Partition
from fl_jax.report.figures import PAPER, RULE, STYLE

SHADES = ("#0072b2", "#56b4e9", "#e69f00", "#999999")
"""Of the splits, from Okabe and Ito's palette."""
NONE = "no bleeding"


def counts(slices: HasPatients, partition: Partition) -> tuple[list[str], np.ndarray]:
    """Counts patients.

    Args:
        slices: the dataset.
        partition: of it.

    Returns:
        The sites' names, alphabetically, and int[sites, splits, 1 + L]: patients without any label,
        then those with each label; a patient with two labels counts under both.
    """
    names, inverse = np.unique(slices.patient, return_inverse=True)
    has = np.zeros((len(names), len(LABELS)), bool)
    np.logical_or.at(has, inverse, slices.labels > 0)
    has = np.concatenate([~has.any(1, keepdims=True), has], axis=1)
    sites = sorted(set(partition.site.tolist()))
    line = np.searchsorted(names, partition.patient)
    sides = [[(partition.site == a) & (partition.split == b) for b in SPLITS] for a in sites]
    found = np.array([[has[line[side]].sum(0) for side in splits] for splits in sides])
    return sites, found


def draw(slices: HasPatients, partition: Partition) -> bytes:
    """Draws stacked bars: a panel a site, a bar a label, its patients by split.

    Args:
        slices: the dataset.
        partition: of it.

    Returns:
        A PNG.
    """
    sites, found = counts(slices, partition)
    columns = min(3, len(sites))
    rows = -(-len(sites) // columns)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(1 + 3.1 * columns, 0.7 + 1.9 * rows), layout="constrained")
        panels = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
        for panel, name, here in zip(panels, sites, found, strict=False):
            start = np.zeros(here.shape[1])
            for split, shade, counted in zip(SPLITS, SHADES, here, strict=True):
                panel.barh([NONE, *LABELS], counted, left=start, color=shade, label=split)
                start += counted
            panel.set_title(f"{name}: {_patients(partition, name)} patients")
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


def _patients(partition: Partition, site: str) -> int:
    return int((partition.site == site).sum())
