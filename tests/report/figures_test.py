import json

import numpy as np
import pytest

from fl_jax.report import figures


@pytest.mark.parametrize("name", ["loss", "auroc"])
def test_learning_is_drawn_over_all_examples_seen_so_far(built, name):
    results = json.loads((built / "results.json").read_text())
    (axes,) = figures.draw(results)[name].axes
    lines = {line.get_label(): np.asarray(line.get_xdata()) for line in axes.get_lines()}
    for model, done in results["done"].items():
        assert (np.diff(lines[model]) > 0).all()
        assert lines[model][-1] == done["examples_seen"]
