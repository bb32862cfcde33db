"""A model is read back with the config that it was trained with, or refused."""

import json

import pytest
from fuzzing import broken, count, each, nothing_written
from reporters import Strict

from fl_jax.experiment import inputs, restore
from fl_jax.experiment.config import FIELDS, Config
from fl_jax.workdir import ArmFolder, Workdir


@pytest.fixture
def written(slices, tmp_path):
    """The `inputs.json` of a training without checkpoints."""
    kept = Config().numbers() | {"dataset": ["1", {"layout": "sites"}], "partition_digest": "2"}
    path = tmp_path / "models" / "federated" / "inputs.json"
    (path.parent / "checkpoints").mkdir(parents=True)
    path.write_text(json.dumps(kept, indent=1))
    return path


def test_inputs_without_a_field_are_refused(written):
    whole = json.loads(written.read_text())
    assert inputs.read(ArmFolder(written.parent)) == whole
    assert inputs.config_of(whole) == Config()
    del whole["threads"]
    written.write_text(json.dumps(whole))
    with pytest.raises(ValueError, match="lacks threads; restore it"):
        inputs.read(ArmFolder(written.parent))
    assert inputs.read(ArmFolder(written.parent / "other")) is None


def test_a_head_that_is_its_own_backbone(written):
    values = json.loads(written.read_text())
    values |= {"backbone": str(written.parents[2]), "model": "study_head()"}
    (written.parents[2] / "partition.csv").write_text("patient,site,split\np,a,train\n")
    for trainable in ("", "^backbone/"):
        written.write_text(json.dumps(values | {"trainable": trainable}))
        with pytest.raises(ValueError, match="is a head itself; give its backbone"):
            restore.load(Workdir(written.parents[2]), Strict())


def test_no_inputs_break_the_promise(written):
    good = written.read_bytes()
    whole = json.loads(good)

    def judge(data):
        written.write_bytes(data)
        try:
            restore.load(Workdir(written.parents[2]), Strict())
        except (FileNotFoundError, ValueError) as error:
            if str(written) in str(error):
                return "refused"
        result = inputs.read(ArmFolder(written.parent))
        assert result is not None
        assert result.keys() <= whole.keys() | {*FIELDS, "backbone_inputs"}
        for name, value in whole.items():
            kinds = (int, float) if isinstance(value, float) else type(value)
            assert isinstance(result[name], kinds), name
        return "read"

    with nothing_written(written.parents[2]):
        outcomes = each(16, count(300), lambda generator: broken(generator, good), judge)
    assert outcomes.keys() == {"read", "refused"}, outcomes
    assert min(outcomes.values()) > 20, outcomes
