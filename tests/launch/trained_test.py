"""Models are read back with what they were trained with, whatever fields a config has had since."""

import json

from configs import ich_fed_avg
from launch import inputs, trained


def test_a_config_of_an_older_version_gets_the_fields_that_came_later():
    found = trained.completed({"rounds": 3, "model": "mlp()", "cohort": {"seed": 5}})
    assert (found.rounds, found.model, found.cohort.seed) == (3, "mlp()", 5)
    assert (found.trainable, found.pretrained, found.statistics) == ("", "", "frozen")
    defaults = ich_fed_avg.get_config()
    held = json.loads(defaults.to_json())
    assert {name: held[name] for name in inputs.BEFORE} == inputs.BEFORE
