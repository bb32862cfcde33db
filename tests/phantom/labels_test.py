"""Labels follow from what was drawn, and readers err only near the threshold."""

import numpy as np
import pytest
from sphere import BLOOD, PLACES, draw_sphere

from fl_jax.core.types import LABELS
from fl_jax.phantom.labels import Reading, read_slices
from fl_jax.phantom.scanner.geometry import Pose, plan_slices
from fl_jax.phantom.scanner.scan import Scan, scan
from fl_jax.phantom.sites import SITES

GEOMETRY = plan_slices(
    pose=Pose(0.0, 0.0, 0.0, (0.0, 0.0)),
    tilt=0.0,
    field_of_view=240.0,
    matrix=128,
    thickness=5.0,
    increment=5.0,
    bottom=-60.0,
    top=60.0,
)
SCANNER = SITES[0].units[0].scanner


def scanned(subtypes):
    return scan(
        draw_sphere(subtypes, GEOMETRY.grid),
        GEOMETRY,
        SCANNER,
        np.random.default_rng(0),
        motion=False,
    )


@pytest.mark.parametrize("subtype", LABELS[1:])
def test_slices_through_the_blood_and_no_others_are_positive(subtype):
    reading = read_slices(scanned((subtype,)), GEOMETRY, np.random.default_rng(0), error=0.0)
    column = LABELS.index(subtype)
    distance = np.abs(np.arange(-60.0, 61.0, 5.0) - PLACES[subtype][2])
    assert reading.labels[distance < BLOOD - 4, column].all()
    assert not reading.labels[distance > BLOOD + 6].any()
    np.testing.assert_array_equal(reading.labels[:, 0], reading.labels[:, column])
    assert reading.labels.sum() == 2 * reading.labels[:, column].sum()


def test_area_is_that_of_the_drawn_ball():
    reading = read_slices(scanned(("intraparenchymal",)), GEOMETRY, np.random.default_rng(0))
    volume = reading.area[:, 1].sum() * 5.0
    assert volume == pytest.approx(4 / 3 * np.pi * BLOOD**3, rel=0.02)
    assert (reading.visible <= 1.5 * reading.area + 1e-3).all()


def flat(*areas: float, kind: str = "subarachnoid", contrast: float = 40.0) -> Reading:
    """Of slices with so many mm^2 of blood, `contrast` HU denser than the brain, noise 3 HU."""
    lesions = np.zeros((5, len(areas), 64, 64), np.float32)
    for k, area in enumerate(areas):
        lesions[LABELS.index(kind) - 1, k].flat[: round(area)] = 1.0
    geometry = GEOMETRY._replace(spacing=0.5)  # 64 mm over 64 drawn pixels
    brain, noise = np.ones(lesions.shape[1:], np.float32), np.full(len(areas), 3.0, np.float32)
    clean = 30.0 + contrast * lesions.sum(0)
    series = Scan(np.zeros(0), np.zeros(0), clean, lesions, brain, noise)
    return read_slices(series, geometry, np.random.default_rng(0), error=0.0)


def test_neighbouring_slices_help_with_small_areas_only():
    assert flat(0, 32, 0, 44, 0).labels[:, 0].tolist() == [0, 0, 0, 1, 0]  # each alone
    reading = flat(400, 32, 0, 18, 400)
    assert reading.labels[:, 0].tolist() == [1, 1, 0, 0, 1]
    np.testing.assert_allclose(reading.visible[:, 3], [408, 48, 0, 27, 404.5])


def test_blood_that_bone_brightens_is_not_called():
    assert flat(0, 400, 0, kind="subdural", contrast=85.0).labels[1, 5]
    assert not flat(0, 400, 0, kind="subdural", contrast=95.0).labels.any()


@pytest.mark.parametrize(("kind", "share"), [("subdural", 0.25), ("subarachnoid", 0.05)])
def test_isodense_blood_shows_by_its_shape_on_the_skull(kind, share):
    reading = flat(0, 400, 0, kind=kind, contrast=0.0)
    assert reading.visible[1].max() == pytest.approx(400 * share)


def test_any_is_the_or_of_the_subtypes():
    reading = read_slices(scanned(LABELS[1:]), GEOMETRY, np.random.default_rng(3), error=0.5)
    np.testing.assert_array_equal(reading.labels[:, 0], reading.labels[:, 1:].any(1))
    assert reading.labels[:, 0].any()


def test_readers_err_only_near_the_threshold_and_at_the_stated_rate():
    series = scanned(LABELS[1:])
    areas = read_slices(series, GEOMETRY, np.random.default_rng(0), error=0.0).visible
    threshold = 1.2 * float(areas[areas > 0].min())  # so that the smallest slices lie near it
    truth = read_slices(series, GEOMETRY, np.random.default_rng(0), threshold=threshold, error=0.0)
    assert not truth.flipped.any()
    np.testing.assert_array_equal(truth.labels[:, 1:], truth.visible >= threshold)
    near = (truth.visible > threshold / 2) & (truth.visible < 2 * threshold)
    assert near.any()
    rate = 0
    for seed in range(100):
        reading = read_slices(
            series, GEOMETRY, np.random.default_rng(seed), threshold=threshold, error=0.1
        )
        wrong = reading.labels[:, 1:] != truth.labels[:, 1:]
        np.testing.assert_array_equal(wrong, reading.flipped)
        assert not wrong[~near].any()
        rate += wrong[near].mean() / 100
    assert rate == pytest.approx(0.1, abs=0.04)


def test_a_head_without_blood_has_no_labels_whatever_the_readers_do():
    assert not read_slices(scanned(()), GEOMETRY, np.random.default_rng(0), error=1.0).labels.any()


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="threshold=0"):
        read_slices(scanned(()), GEOMETRY, np.random.default_rng(0), threshold=0.0)
    with pytest.raises(ValueError, match=r"error=1\.5"):
        read_slices(scanned(()), GEOMETRY, np.random.default_rng(0), error=1.5)
