"""Brings the brain of every DICOM study to one level in HU, before windowing: `config.intensity='study'`.

    hu'   = hu + round(REFERENCE - level)         all slices of a study alike
    level = weighted median over slices of their `brain_hu`, weighted by `brain_area`; see `head`

Why: scanners, kernels and calibrations put the same brain 5-6 HU apart, a sixth of what tells blood from
brain. An additive shift is enough: HU are proportional to attenuation relative to water, so a scale of 2 %
changes the brain by 0.6 HU and a bleed by 1.3, while offsets of calibration and of beam hardening inside
the skull add to all of it. A study's offset is computed once, from the numbers that the dataset's build
measured, and the same in training, prediction and evaluation: slices do not move against each other, and no
batch decides.

| study | outcome |
|---|---|
| no slice with enough brain, no skull, pixels of over 5 mm | left as it is, counted |
| more than `LARGEST` from the reference: contrast, a wrong rescale | left as it is, counted |
| bleeds, calcification, craniectomy, large ventricles | shifted; they hardly move the median, see `head` |
| one slice only | shifted by that slice, which is within about 4 HU of its study |
"""

from typing import NamedTuple

import numpy as np

from fl_jax.data.slices import Slices

REFERENCE = 32.0
"""HU of the brain afterwards: grey matter has 37-41 and white matter 24-29 at 120 kV."""
LARGEST = 20.0
"""HU; the level of a sound study without contrast lies within it, by a wide margin."""


class Levels(NamedTuple):
    """What `levels` measured in a dataset of N slices and S studies.

    Attributes:
        offset: int16[N], HU to add to each slice.
        level: float64[S], the studies' levels in HU, NaN without brain.
        shift: float64[S], HU added to each study; 0 where it is left as it is.
    """

    offset: np.ndarray
    level: np.ndarray
    shift: np.ndarray

    def describe(self) -> str:
        """What was done, in a sentence."""
        blind = int(np.isnan(self.level).sum())
        far = int((np.abs(REFERENCE - self.level) > LARGEST).sum())
        shifted = self.shift[~np.isnan(self.level) & (np.abs(REFERENCE - self.level) <= LARGEST)]
        parts = []
        if shifted.size:
            low, high = np.quantile(shifted, (0.1, 0.9))
            parts.append(
                f"{shifted.size} studies brought to {REFERENCE:g} HU, shifted by {low:+.0f} to {high:+.0f} "
                "(10-90 %)"
            )
        if blind:
            parts.append(f"{blind} with too little brain left as they are")
        if far:
            parts.append(f"{far} more than {LARGEST:g} HU away left as they are")
        return "intensity: " + (", ".join(parts) or "no studies")


def levels(slices: Slices) -> Levels:
    """The level and the offset of every study."""
    names, of_slice = np.unique(slices.study, return_inverse=True)
    nothing = np.full(len(slices), np.nan)
    hu = np.asarray(slices.head.get("brain_hu", nothing), np.float64)
    area = np.asarray(slices.head.get("brain_area", nothing), np.float64)
    known = np.flatnonzero(np.isfinite(hu) & (area > 0))
    order = known[np.lexsort((hu[known], of_slice[known]))]
    total = np.bincount(of_slice[order], area[order], len(names))
    before = np.cumsum(total) - total
    half = np.searchsorted(np.cumsum(area[order]), before + total / 2)
    level = np.full(len(names), np.nan)
    has = total > 0
    level[has] = hu[order[half[has]]]
    shift = np.rint(REFERENCE - level)
    shift[~(np.abs(REFERENCE - level) <= LARGEST)] = 0
    return Levels(shift[of_slice].astype(np.int16), level, shift)


def levelled(slices: Slices) -> Slices:
    """The dataset with every study at the reference."""
    return slices.shifted(levels(slices).offset)
