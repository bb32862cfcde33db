"""CT windows in JAX, inside the jitted step, so that int16 HU crosses the bus.

A window of centre c and width w maps Hounsfield units (HU) linearly to [0, 1] and clips:

    channel = clip((HU - (c - w / 2)) / w, 0, 1)

as in the published study. DICOM PS3.3 C.11.2.1.2 defines the same window for integer displays and shifts it
by half a grey value, i.e. at most 0.5 HU.

References:
    Methods and Impact for Using Federated Learning to Collaborate on Clinical Research,
    Neurosurgery 2023; 92:431-438 (the three windows).
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from fl_jax.core.types import Array


class Window(NamedTuple):
    """A CT window.

    Attributes:
        centre: HU that becomes 0.5.
        width: HU from 0 to 1, positive.
    """

    centre: float
    width: float


DEFAULT_WINDOWS = (
    Window(centre=40.0, width=80.0),  # brain
    Window(centre=80.0, width=200.0),  # subdural
    Window(centre=40.0, width=380.0),  # soft tissue
)
"""The C = 3 channels of the published study, in its order."""
WINDOWS: dict[str, Window] = dict(
    zip(("brain", "subdural", "soft_tissue"), DEFAULT_WINDOWS, strict=True)
)
"""By the names used in configs."""


def by_name(names: Sequence[str]) -> tuple[Window, ...]:
    """Looks windows up by name.

    Raises:
        ValueError: an unknown name.
    """
    for name in names:
        if name not in WINDOWS:
            raise ValueError(f"window {name!r}: there are {', '.join(WINDOWS)}")
    return tuple(WINDOWS[name] for name in names)


def channels(hu: Array, windows: tuple[Window, ...] = DEFAULT_WINDOWS) -> jax.Array:
    """Windows a batch: one channel per window and slice.

    Args:
        hu: int16 or float32 [B, H, W], or [B, A, H, W] for A adjacent slices, in HU.
        windows: see `apply_windows`.

    Returns:
        float32[B, H, W, C], or float32[B, H, W, A * C], the first slice's windows first.

    Raises:
        ValueError: see `apply_windows`.
    """
    shown = apply_windows(hu, windows)
    if shown.ndim == 4:
        return shown
    return jnp.moveaxis(shown, 1, -2).reshape(shown.shape[0], *shown.shape[2:4], -1)


def apply_windows(hu: Array, windows: tuple[Window, ...] = DEFAULT_WINDOWS) -> jax.Array:
    """Windows images: one channel in [0, 1] per window.

    Args:
        hu: int16 or float32 [..., H, W] in HU.
        windows: C windows; the widths are positive.

    Returns:
        float32[..., H, W, C] in [0, 1].

    Raises:
        ValueError: no window, or a width that is not positive.
    """
    if not windows:
        raise ValueError("windows is empty: give at least one Window(centre, width)")
    for window in windows:
        if not window.width > 0:
            raise ValueError(f"windows has {window}: the width must be positive HU")
    low = jnp.asarray([w.centre - w.width / 2 for w in windows], jnp.float32)
    width = jnp.asarray([w.width for w in windows], jnp.float32)
    return jnp.clip((jnp.asarray(hu, jnp.float32)[..., None] - low) / width, 0.0, 1.0)
