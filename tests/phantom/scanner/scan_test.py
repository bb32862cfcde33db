"""Noise, artefacts and geometry of the scanner, on a head whose every HU is known."""

import dataclasses

import numpy as np
import pytest
from sphere import BRAIN, draw_sphere, geometry

from fl_jax.phantom.scanner.scan import noise_spectrum, scan
from fl_jax.phantom.sites import SITES

UNITS = [unit for site in SITES for unit in site.units]
QUIET = dataclasses.replace(
    UNITS[0].scanner, noise=1e-3, hardening=0.0, streaks=0.0, offset=0.0, gain=0.0, edge=0.0
)


def test_a_quiet_scanner_returns_the_drawn_hu():
    planned = geometry()
    series = scan(
        draw_sphere((), planned.grid), planned, QUIET, np.random.default_rng(0), motion=False
    )
    axis = (np.arange(256) - 127.5) * planned.spacing
    inside = np.hypot(axis[:, None], axis) < 0.6 * BRAIN
    middle = series.hu[len(series.hu) // 2]
    assert middle[inside].std() < 0.7
    assert middle[inside].mean() == pytest.approx(
        33, abs=3
    )  # calibration varies from study to study


def test_a_thick_slice_mixes_what_it_covers():
    edge = geometry(bottom=69.0, top=74.0, increment=4.0, thickness=4.0)
    series = scan(draw_sphere((), edge.grid), edge, QUIET, np.random.default_rng(0), motion=False)
    centre = series.clean[:, 96, 96]
    assert 150 < centre[0] < 850  # from 67 to 71 mm: brain and bone
    assert 600 < centre[1] <= 1000
    assert 0 < series.brain[0, 96, 96] < 1


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.scanner.name)
def test_noise_has_the_stated_level_and_is_correlated(unit):
    scanner = dataclasses.replace(unit.scanner, hardening=0.0, edge=0.0, blur=0.5, iterative=0.0)
    planned = geometry(matrix=512, field_of_view=250.0, bottom=-10.0, top=10.0)
    series = scan(
        draw_sphere((), planned.grid), planned, scanner, np.random.default_rng(1), motion=False
    )
    patch = series.hu[:, 200:312, 200:312].astype(float)
    patch -= patch.mean((1, 2), keepdims=True)
    sd = np.sqrt((patch**2).mean())
    assert sd == pytest.approx(scanner.noise, rel=0.3)  # the middle is noisier than the average
    neighbour = (patch[:, :, 1:] * patch[:, :, :-1]).mean() / sd**2
    far = (patch[:, :, 8:] * patch[:, :, :-8]).mean() / sd**2
    assert 0.5 < neighbour < 0.9
    assert abs(far) < 0.25


def test_iterative_reconstruction_has_less_noise_in_larger_blots_and_sharp_edges():
    planned = geometry(bottom=-10.0, top=10.0)
    drawing = draw_sphere((), planned.grid)
    figures = []
    for share in (0.0, 0.7):
        scanner = dataclasses.replace(QUIET, noise=5.0, streaks=0.1, iterative=share)
        hu = scan(drawing, planned, scanner, np.random.default_rng(1), motion=False).hu[2]
        patch = hu[110:146, 110:146] - hu[110:146, 110:146].mean()
        edge = hu[128, 128:].astype(float)
        next_pixel = (patch[:, 1:] * patch[:, :-1]).mean() / patch.var()
        figures.append((patch.std(), next_pixel, np.abs(np.diff(edge)).max()))
    (noise, next_pixel, edge), (less, more, same) = figures
    assert less < 0.75 * noise
    assert more > next_pixel + 0.1
    assert same > 0.95 * edge


def test_larger_pixels_have_less_noise():
    fine, coarse = noise_spectrum(512, 0.49, 0.35), noise_spectrum(256, 0.98, 0.35)

    def sd(amplitude, matrix):
        power = (
            2 * (amplitude.astype(float) ** 2).sum() - (amplitude[:, 0].astype(float) ** 2).sum()
        )
        return np.sqrt(power) / matrix

    assert sd(fine, 512) == pytest.approx(1, abs=0.03)
    assert sd(coarse, 256) == pytest.approx(
        0.82, abs=0.04
    )  # measured on 2 x 2 means of the fine one


def test_noise_is_higher_in_the_middle_than_at_the_rim():
    planned = geometry(bottom=-20.0, top=20.0)
    drawing = draw_sphere((), planned.grid)
    quiet, loud = (
        scan(
            drawing,
            planned,
            dataclasses.replace(QUIET, noise=noise),
            np.random.default_rng(2),
            motion=False,
        ).hu
        for noise in (1e-3, 10.0)
    )
    noise = (loud - quiet).astype(float)
    axis = (np.arange(256) - 127.5) * planned.spacing
    radius = np.hypot(axis[:, None], axis)
    assert noise[:, radius < 25].std() > 1.1 * noise[:, (radius > 60) & (radius < 68)].std()


def test_bone_hardens_the_beam():
    planned = geometry()
    hard = dataclasses.replace(QUIET, hardening=0.2)
    rim, middle = [], []
    axis = (np.arange(256) - 127.5) * planned.spacing
    radius = np.hypot(axis[:, None], axis)
    for scanner in (QUIET, hard):
        drawing = draw_sphere((), planned.grid)
        hu = scan(drawing, planned, scanner, np.random.default_rng(3), motion=False).hu[6]
        rim.append(hu[(radius > 60) & (radius < 68)].mean())
        middle.append(hu[radius < 20].mean())
    cupping = (rim[1] - middle[1]) - (rim[0] - middle[0])
    assert 0.5 < cupping < 15  # HU, up to 2 mm under the bone


def test_metal_throws_streaks_and_is_bright():
    planned = geometry(bottom=-5.0, top=5.0)
    plain = scan(
        draw_sphere((), planned.grid), planned, QUIET, np.random.default_rng(4), motion=False
    )
    metal = scan(
        draw_sphere((), planned.grid, metal=True),
        planned,
        QUIET,
        np.random.default_rng(4),
        motion=False,
    )
    assert metal.hu[1].max() > 2000
    brain = np.hypot(*np.meshgrid(np.arange(256) - 127.5, np.arange(256) - 127.5)) < 60
    assert metal.hu[1][brain].std() > 5 * plain.hu[1][brain].std()


def test_motion_touches_few_slices():
    planned = geometry(bottom=-60.0, top=60.0)
    drawing = draw_sphere(("subdural",), planned.grid)
    still, moved = (
        scan(drawing, planned, QUIET, np.random.default_rng(5), motion=motion).clean
        for motion in (False, True)
    )
    changed = (still != moved).any((1, 2)).sum()
    assert 1 <= changed <= 5


def test_same_state_same_bytes():
    planned = geometry()
    drawing = draw_sphere(("epidural",), planned.grid)
    first, second = (
        scan(drawing, planned, UNITS[0].scanner, np.random.default_rng(7), motion=True).hu
        for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)
