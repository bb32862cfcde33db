import numpy as np
import pytest
from sphere import HEAD, draw_sphere, geometry

from fl_jax.phantom.scanner.head_holder import STYLES, draw_holder


@pytest.mark.parametrize("style", STYLES)
def test_the_holder_stays_outside_the_head(style):
    planned = geometry()
    heads = draw_sphere((), planned.grid).hu
    holder = draw_holder(heads, planned, style, np.random.default_rng(6))
    axis = (np.arange(256) - 127.5) * planned.spacing
    radius = np.hypot(axis[:, None], axis)
    assert (holder[(radius > HEAD + 4) & (radius < 119)] > -700).any()
    assert (holder[radius < 60] == -1000).all()
    assert holder[radius < HEAD].max() < -800  # foam, which the head covers


def test_an_unknown_style_is_named():
    planned = geometry()
    with pytest.raises(ValueError, match="holder='chair': choose from"):
        draw_holder(np.zeros((1, 8, 8)), planned, "chair", np.random.default_rng(0))
