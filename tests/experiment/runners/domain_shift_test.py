"""One arm judged on two tiny cohorts: which numbers come back, what is drawn once, and what is refused."""

import numpy as np
import pytest
from sphere import draw

from configs import domain_shift as config
from fl_jax.core import spec
from fl_jax.evaluation.transfer import NAMES
from fl_jax.experiment import prepare
from fl_jax.experiment.config import Config
from fl_jax.experiment.runners.domain_shift import domain_shift
from fl_jax.phantom import cohort as phantom
from fl_jax.phantom.sites import SITES
from launch.sweep.cells import plan

TINY = {"scale": 0.001, "matrix": 32}
SETTINGS = config.base().to_dict() | {
    "cohort": {"seed": 0, "family": "former"} | TINY,
    "shifted": {"seed": 1, "family": "shifted"} | TINY,
    "fractions": (0.4, 0.3, 0.3),
    "image_size": 8,
    "model": "mlp(outputs=6, widths=(4,))",
    "rounds": 1,
    "min_sites": 0,
    "epochs": 1.0,
    "resamples": 10,
}


@pytest.fixture
def drawn(monkeypatch):
    """Draws heads that are easy to reckon with, in this process; lists the families drawn."""
    families = []

    def make(folder, **arguments):
        two = (SITES[0], SITES[-1])  # and the hold-out
        arguments |= {"workers": 1, "draw": draw, "sites": two}
        summary = phantom.make_cohort(folder, **arguments)
        families.extend([] if summary.skipped else [arguments["family"]])
        return summary

    monkeypatch.setattr(prepare, "make_cohort", make)
    return families


def test_cohorts_are_drawn_once_and_the_other_one_is_judged(drawn, tmp_path):
    run = domain_shift((0,), tmp_path)
    results = run(SETTINGS, 0)
    assert drawn == ["former", "shifted"]
    for place in ("own", "shifted", "drop"):
        for name in NAMES:
            assert len(results[f"{place}_{name}_samples"]) == 10
    for name in NAMES:
        np.testing.assert_allclose(
            results[f"drop_{name}"], results[f"own_{name}"] - results[f"shifted_{name}"]
        )
    assert 0 <= results["shifted_patient"] <= 1
    again = run(SETTINGS, 1)
    assert drawn == ["former", "shifted"]
    assert again["shifted_micro"] != results["shifted_micro"]


def test_what_does_not_fit(tmp_path):
    run = domain_shift((0,), tmp_path)
    with pytest.raises(ValueError, match=r"shifted.seed=0: .* the same patients"):
        run(SETTINGS | {"shifted": SETTINGS["shifted"] | {"seed": 0}}, 0)
    with pytest.raises(ValueError, match="arm='local': must be"):
        run(SETTINGS | {"arm": "local"}, 0)
    with pytest.raises(ValueError, match=r"choose from|family"):
        run(SETTINGS | {"cohort": SETTINGS["cohort"] | {"family": "martian"}}, 0)
    with pytest.raises(ValueError, match="folder"):
        domain_shift((0,))


def test_every_row_of_the_config_is_a_config():
    """And the rows change what their names say."""
    sweep = config.get_config()
    cells = {cell.name: cell.settings for cell in plan(sweep)}
    for settings in cells.values():
        fields = {k: v for k, v in settings.items() if k not in ("partition_seed", "shifted")}
        Config.parse(fields)
        spec.build(sweep.tables, "launch.sweep.tables")
    assert cells["nothing"]["cohort"]["family"] == "former"
    assert cells["only pose"]["cohort"]["family"] == "former, pose=standard"
    assert "pose" not in cells["without pose"]["cohort"]["family"]
    assert cells["nothing"]["zoom"] == cells["without geometry"]["zoom"] == 0
    assert cells["only geometry"]["zoom"] == cells["everything"]["zoom"] > 0
    assert cells["everything"]["intensity"] == "study"
