"""A head that is easy to reckon with: a ball of brain in a shell of bone, one ball of blood per subtype."""

import numpy as np

from fl_jax.core.types import LABELS
from fl_jax.phantom.drawing.grid import Drawing, Grid
from fl_jax.phantom.scanner.geometry import Geometry, Pose, plan_slices

BRAIN, SKULL, HEAD, BLOOD = 70.0, 77.0, 82.0, 14.0  # radii, mm
PLACES = {
    "epidural": (45.0, 0.0, 0.0),
    "intraparenchymal": (-25.0, -25.0, 20.0),
    "intraventricular": (0.0, 0.0, 0.0),
    "subarachnoid": (-45.0, 10.0, -10.0),
    "subdural": (0.0, 45.0, 25.0),
}


def draw_sphere(subtypes, grid: Grid, metal: bool = False) -> Drawing:
    p = np.moveaxis(grid.points().reshape(3, *grid.shape), 0, -1)
    r = np.linalg.norm(p, axis=-1)
    hu = np.select([r < BRAIN, r < SKULL, r < HEAD], [33.0, 1000.0, 40.0], -1000.0)
    lesions = np.zeros((5, *grid.shape), np.uint8)
    for k, label in enumerate(LABELS[1:]):
        if label in subtypes:
            lesions[k] = np.linalg.norm(p - np.array(PLACES[label]), axis=-1) < BLOOD
            hu[lesions[k] > 0] = 65.0
    clip = (np.linalg.norm(p - np.array([30.0, 30.0, 0.0]), axis=-1) < 3) if metal else None
    return Drawing(hu.astype(np.float32), lesions, r < BRAIN, clip)


def draw(patient, grid: Grid) -> Drawing:
    """`draw.draw` for the sphere."""
    return draw_sphere({lesion.kind for lesion in patient.lesions}, grid)


def geometry(**changes) -> Geometry:
    """Seven straight 5 mm slices, but for the changes."""
    options = {
        "pose": Pose(0.0, 0.0, 0.0, (0.0, 0.0)),
        "tilt": 0.0,
        "field_of_view": 240.0,
        "matrix": 256,
        "thickness": 5.0,
        "increment": 5.0,
        "bottom": -30.0,
        "top": 30.0,
    }
    return plan_slices(**{**options, **changes})  # type: ignore[arg-type]
