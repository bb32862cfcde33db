import numpy as np
import pytest
from sphere import geometry

from fl_jax.phantom.scanner.geometry import Pose


def test_positions_are_equidistant_and_the_tilt_is_in_the_orientation():
    tilted = geometry(tilt=15.0, increment=6.0)
    steps = np.diff(tilted.positions, axis=0)
    assert steps == pytest.approx(np.tile([0, 0, 6.0], (len(steps), 1)), abs=1e-9)
    assert tilted.down == pytest.approx([0, np.cos(np.pi / 12), -np.sin(np.pi / 12)])
    normal = np.cross([1, 0, 0], tilted.down)
    assert normal @ steps[0] == pytest.approx(6 * np.cos(np.pi / 12))
    centre = tilted.positions[0] + 127.5 * tilted.spacing * (np.array([1, 0, 0]) + tilted.down)
    assert centre == pytest.approx([0, 0, -30])


def test_the_grid_is_the_slices_seen_from_the_head():
    pose = Pose(yaw=10.0, pitch=-8.0, roll=5.0, shift=(4.0, -6.0))
    posed = geometry(pose=pose, tilt=12.0, thickness=1.0, increment=5.0)
    rotation = pose.rotation()
    assert rotation @ rotation.T == pytest.approx(np.eye(3))
    corner = rotation @ posed.grid.origin + [4.0, -6.0, 0]
    assert corner + 0.5 * (posed.spacing - 240 / 192) * (
        np.array([1, 0, 0]) + posed.down
    ) == pytest.approx(posed.positions[0], abs=1e-3)
    assert rotation @ posed.grid.step_z == pytest.approx([0, 0, 5.0], abs=1e-4)


def test_bad_lengths_are_refused():
    with pytest.raises(ValueError, match="thickness=0"):
        geometry(thickness=0.0)
    with pytest.raises(ValueError, match="must lie above"):
        geometry(top=-40.0)


@pytest.mark.parametrize(("thickness", "increment"), [(7.0, 10.0), (2.5, 3.75), (1.25, 5.0)])
def test_a_slices_samples_spread_over_its_thickness_and_its_pixels(thickness, increment):
    grid = geometry(thickness=thickness, increment=increment).grid
    points = grid.points().reshape(3, -1, len(grid.samples), *grid.shape[1:])
    heights = points[2, :, :, 0, 0]
    assert heights.mean(1) == pytest.approx(-30 + increment * np.arange(len(heights)), abs=1e-3)
    assert 0.7 < heights.var(1).mean() / (thickness**2 / 12) < 1.1
    pixel = 240 / grid.shape[1]
    for axis in (0, 1):
        assert 0.7 < points[axis, 0, :, 5, 5].var() / (pixel**2 / 12) < 1.1


def test_planes_are_drawn_at_the_images_resolution_within_limits():
    assert [geometry(matrix=size).grid.shape[1] for size in (32, 96, 512)] == [64, 96, 192]
