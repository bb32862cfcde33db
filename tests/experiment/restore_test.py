"""Models are read back with what they were trained with, fields that came later too, or refused."""

import json

import pytest
from fuzzing import broken, count, each, nothing_written

from configs import ich_fed_avg
from fl_jax.experiment import inputs
from fl_jax.experiment import restore as trained


@pytest.fixture
def written(slices, tmp_path):
    """The `inputs.json` of a training that has not begun."""
    config = ich_fed_avg.get_config()
    kept = {name: value for name, value in config.items() if name not in inputs.MACHINE}
    kept |= {"cohort": config.cohort.to_dict(), "dataset": ["1", {"layout": "sites"}]}
    path = tmp_path / "models" / "federated" / "inputs.json"
    (path.parent / "checkpoints").mkdir(parents=True)
    path.write_text(json.dumps(kept, indent=1))
    return path


def test_a_config_of_an_older_version_gets_the_fields_that_came_later(written):
    whole = json.loads(written.read_text())
    assert inputs.read(written) == whole
    assert {name: whole[name] for name in inputs.BEFORE} == inputs.BEFORE
    older = {name: value for name, value in whole.items() if name not in inputs.BEFORE}
    written.write_text(json.dumps(older))
    assert inputs.read(written) == whole
    assert inputs.read(written, threads=3) == whole | {"threads": 3}
    assert inputs.read(written.parent / "other.json") is None


def test_no_inputs_break_the_promise(written):
    good = written.read_bytes()
    whole = json.loads(good)

    def judge(data):
        written.write_bytes(data)
        try:
            trained.load(written.parents[2], complain=pytest.fail)
        except (FileNotFoundError, ValueError) as error:
            if str(written) in str(error):
                return "refused"
        found = inputs.read(written)
        assert found is not None
        assert found.keys() <= whole.keys() | {*inputs.MACHINE, "backbone_inputs"}
        for name, value in whole.items():
            kinds = (int, float) if isinstance(value, float) else type(value)
            assert isinstance(found[name], kinds), name
        return "read"

    with nothing_written(written.parents[2]):
        outcomes = each(16, count(300), lambda generator: broken(generator, good), judge)
    assert outcomes.keys() == {"read", "refused"}, outcomes
    assert min(outcomes.values()) > 20, outcomes
