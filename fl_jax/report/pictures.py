"""CT slices as PNG images for a page."""

import base64
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from fl_jax.data.windows import DEFAULT_WINDOWS, Window

WINDOWS = dict(zip(("brain", "subdural", "soft tissue"), DEFAULT_WINDOWS, strict=True))


def windowed(
    hu: NDArray[np.int16], windows: Iterable[Window] = DEFAULT_WINDOWS
) -> NDArray[np.uint8]:
    """Applies display windows to a slice and puts the results side by side.

    Args:
        hu: int16[H, W], HU.
        windows: C display windows.

    Returns:
        uint8[H, C W] grey levels.
    """
    panes = [np.clip((hu - (centre - width / 2)) / width, 0, 1) for centre, width in windows]
    return (255 * np.concatenate(panes, axis=1)).round().astype(np.uint8)


def png(grey: NDArray[np.uint8]) -> bytes:
    """Encodes uint8[H, W] grey levels as PNG."""
    import cv2

    return cv2.imencode(".png", grey)[1].tobytes()


def case_pictures(hu: NDArray[np.int16]) -> dict[str, bytes | None]:
    """The pictures of one case of the contact sheet.

    Args:
        hu: int16[3, H, W] HU: the slice below, the slice itself, the slice above.

    Returns:
        PNG of "slice", windows side by side, and of "below" and "above", None at the end of the series.
    """
    below, middle, above = hu
    neighbours = {"below": below, "above": above}
    return {"slice": png(windowed(middle))} | {
        side: None if (other == middle).all() else png(windowed(other))
        for side, other in neighbours.items()
    }


def data_uri(image: bytes, kind: str = "png") -> str:
    """Embeds a PNG, or a JPEG with the kind "jpeg", in a data URI."""
    return f"data:image/{kind};base64," + base64.b64encode(image).decode()
