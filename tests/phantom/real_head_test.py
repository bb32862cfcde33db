"""The phantom against a real head: HU and noise, measured by the same code (figures in the README).

Both at 256 x 256, slices through the cerebrum. The brain is what lies inside the skull, 5 mm from bone.
"""

import csv
import dataclasses

import numpy as np
import pytest
from real_ct import REAL, needs_real
from scipy import ndimage

from fl_jax.data import dicom
from fl_jax.phantom.cohort import make_cohort
from fl_jax.phantom.sites import SITES

HEAD = REAL / "ct_head_ge"
pytestmark = [
    pytest.mark.slow,
    needs_real,
]
FIGURES = ("noise", "next_pixel", "median", "low", "high", "fluid", "bone")


def statistics(hu, pixel):
    """Of a slice through the cerebrum, in the order of `FIGURES`; None for another."""
    hu = hu.astype(float)
    bone = ndimage.binary_closing(hu > 180, iterations=2)
    cavity, count = ndimage.label(ndimage.binary_fill_holes(bone) & ~bone)
    if not count:
        return None
    sizes = ndimage.sum_labels(np.ones_like(cavity), cavity, np.arange(1, count + 1))
    inside = ndimage.binary_fill_holes(cavity == 1 + np.argmax(sizes))
    brain = ndimage.distance_transform_edt(inside) * pixel > 5
    shell = ndimage.binary_dilation(inside, iterations=8) & ~inside
    # Through the cerebrum the cavity is large, round and without bone or air of the base.
    if brain.sum() * pixel**2 < 7000 or (np.abs(hu[brain] - 30) > 120).mean() > 0.005:
        return None
    windows = [np.s_[y : y + 16, x : x + 16] for y in range(0, 241, 4) for x in range(0, 241, 4)]
    quiet = sorted((hu[w].std(), i) for i, w in enumerate(windows) if brain[w].all())[:5]
    patches = [hu[windows[i]] - hu[windows[i]].mean() for _, i in quiet]
    next_pixel = np.mean([(p[:, 1:] * p[:, :-1]).mean() / (p * p).mean() for p in patches])
    smooth = ndimage.gaussian_filter(hu, 1.5 / pixel)[brain]
    figures = (np.median(smooth), *np.percentile(smooth, (15, 85, 1)))
    return (
        np.mean([sd for sd, _ in quiet]),
        next_pixel,
        *figures,
        np.median(hu[shell & (hu > 180)]),
    )


def measure(paths):
    found = []
    for path in paths:
        read = dicom.read(path, size=256)
        found.append(statistics(read.hu, read.spacing[0] * read.shape[0] / 256))
    return np.array([row for row in found if row is not None])


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Rows of figures: the real head's slices, and those of normal patients on the scanner most like its."""
    folder = tmp_path_factory.mktemp("cohort")
    (site,) = (site for site in SITES if site.name == "university")
    like = dataclasses.replace(site, patients=24, units=site.units[:1])
    make_cohort(folder, seed=0, sites=[like], workers=2)
    with open(folder / "truth" / "patients.csv") as file:
        normal = {row["patient"] for row in csv.DictReader(file) if not row["subtypes"]}
    with open(folder / "truth" / "slices.csv") as file:
        images = [row["Image"] for row in csv.DictReader(file) if row["patient"] in normal]
    drawn = measure(folder / site.name / "input" / "data" / f"{image}.dcm" for image in images)
    return measure(sorted(HEAD.glob("*.dcm"))), drawn


def test_density_and_noise_are_those_of_a_real_head(both):
    real, drawn = both
    for name, ours, theirs in zip(FIGURES, drawn.T, real.T, strict=True):
        spread = [f"{x.mean():.2f} ({x.min():.2f} to {x.max():.2f})" for x in (theirs, ours)]
        print(f"{name:10} real {spread[0]:28} phantom {spread[1]}")
    assert (real.min(0) <= drawn.mean(0)).all()
    assert (drawn.mean(0) <= real.max(0)).all()
