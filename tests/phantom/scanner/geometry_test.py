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


@pytest.mark.parametrize(("thickness", "increment"), [(5.0, 5.0), (2.5, 3.75), (1.25, 5.0)])
def test_slice_profile_has_the_stated_width(thickness, increment):
    planned = geometry(thickness=thickness, increment=increment)
    assert planned.profile.sum(1) == pytest.approx(1, abs=1e-6)
    heights = np.arange(planned.grid.shape[0]) * float(planned.grid.step_z[2])
    inner = planned.profile[3]
    centre = inner @ heights
    assert centre == pytest.approx(heights @ planned.profile[4] - increment, abs=1e-3)
    variance = inner @ (heights - centre) ** 2
    box = thickness**2 / 12
    assert variance <= 1.5 * box
    assert variance >= 0.7 * box or thickness < 0.5 * increment
