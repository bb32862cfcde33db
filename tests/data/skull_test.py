"""The inside of the skull on drawn heads, and on a real one where it is at hand."""

import numpy as np
from real_ct import REAL, needs_real
from scipy import ndimage

from fl_jax.data import dicom
from fl_jax.data.skull import inside_skull


def head(size=64, *, gap=0):
    """Scalp of 40 HU, bone of 800, brain of 35: rings round the centre; `gap` rows of bone are open below."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    radius = np.hypot(y, x * 1.1)
    hu = np.full((size, size), -1000, np.int16)
    hu[radius < 28] = 40
    hu[radius < 25] = 800
    hu[radius < 22] = 35
    hu[(np.abs(x) < gap) & (y > 0) & (radius >= 22) & (radius < 25)] = 40
    return hu, radius < 22


def test_the_brain_is_found_without_the_scalp():
    hu, brain = head()
    np.testing.assert_array_equal(inside_skull(hu), brain)
    hu[30:34, 30:34], hu[20:22, 20:22] = 75, 0  # a bleed, CSF
    np.testing.assert_array_equal(inside_skull(hu), brain)


def test_slices_are_independent_and_may_have_none():
    hu, brain = head()
    air, table, open_head = np.full_like(hu, -1000), np.full_like(hu, -1000), head(gap=40)[0]
    table[-2] = 500
    result = inside_skull(np.stack([air, hu, table, open_head, hu]))
    assert result.any(axis=(1, 2)).tolist() == [False, True, False, False, True]
    np.testing.assert_array_equal(result[1], brain)
    np.testing.assert_array_equal(result[4], brain)
    assert inside_skull(np.zeros((0, 8, 8), np.int16)).shape == (0, 8, 8)


def test_of_two_closed_regions_the_larger_is_taken_and_of_equal_ones_one():
    hu, brain = head()
    hu[40:43, brain[41]] = 800
    assert inside_skull(hu)[:40].any()
    assert not inside_skull(hu)[43:].any()
    rooms = np.full((7, 12), 800, np.int16)
    rooms[2:5, 2:5] = rooms[2:5, 7:10] = 30
    assert inside_skull(rooms).sum() == 9


@needs_real
def test_on_a_real_head_it_is_most_of_the_brain_where_the_skull_is_closed():
    files = [str(path) for path in sorted((REAL / "ct_head_ge").iterdir())]
    reads = [read for read in dicom.read_all(files, size=128, workers=0) if hasattr(read, "hu")]
    hu = np.stack([read.hu for read in sorted(reads, key=lambda read: read.position)])
    middle = hu[12:24]
    inside = inside_skull(middle)
    brain = ((middle > 0) & (middle < 80)).sum(axis=(1, 2))
    assert (inside.sum(axis=(1, 2)) > 0.6 * brain).all()
    assert (abs(np.median(middle[inside]) - 32) < 6).all()


def test_on_noise_it_is_the_largest_region_with_bone_on_all_four_sides():
    hu = np.random.default_rng(0).integers(-300, 260, (20, 9, 11)).astype(np.int16)
    for found, slice_ in zip(inside_skull(hu), hu, strict=True):
        bone, soft = slice_ > 200, (slice_ > -200) & (slice_ <= 200)
        closed = np.zeros_like(bone)
        for y, x in np.argwhere(soft):
            sides = bone[:y, x], bone[y + 1 :, x], bone[y, :x], bone[y, x + 1 :]
            closed[y, x] = all(side.any() for side in sides)
        regions, count = ndimage.label(closed)
        sizes = [(regions == n).sum() for n in range(1, count + 1)]
        largest = regions == 1 + int(np.argmax(sizes)) if count else np.zeros_like(bone)
        np.testing.assert_array_equal(found, largest)
