import matplotlib
import numpy as np
from matplotlib.figure import Figure

from fl_jax.report import survey
from fl_jax.report.style import drawing, svg


def picture():
    with drawing():
        figure = Figure()
        figure.add_subplot().plot(np.arange(3), label="a $b$")
        figure.legend()
    return svg(figure, "name", "title")


def test_a_matplotlibrc_changes_no_figure():
    """A received folder may contain one; `text.usetex` would run LaTeX."""
    expected = picture()
    with matplotlib.rc_context({"text.usetex": True, "lines.linewidth": 9, "svg.fonttype": "path"}):
        assert picture() == expected
        assert survey.draw(("low", "high"), [{"item": "x", "counts": [1, 2]}])
