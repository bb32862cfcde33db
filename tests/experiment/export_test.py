import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reporters import Said

from fl_jax.experiment import export
from fl_jax.experiment.checkpoint import Store
from fl_jax.experiment.predict import Model
from fl_jax.experiment.reporter import SILENT
from fl_jax.experiment.rounds import Saved
from fl_jax.models.mlp import mlp
from fl_jax.workdir import Workdir


@pytest.fixture
def params():
    return mlp(6, (4,)).init(jax.random.key(0), jnp.zeros((1, 8)))["params"]


@pytest.fixture
def workdir(tmp_path, params):
    store = Store(Workdir(tmp_path).arm("central").checkpoints)
    state = {"server": {"params": jax.tree.map(jnp.zeros_like, params)}}
    for step in (1, 2):
        store.save(step, Saved(state, Model(params, None)), {"best_round": 1})
    return Workdir(tmp_path)


def test_there_and_back(workdir, params, tmp_path):
    safetensors = pytest.importorskip("safetensors")
    (workdir.arm("central").checkpoints / "2" / "facts" / "metadata").unlink()
    out, said = tmp_path / "model.safetensors", Said()
    assert export.export(workdir, "central", out, said) == 4
    assert "checkpoint 2" in said[0]
    jax.tree.map(np.testing.assert_array_equal, export.load(out), dict(params))
    x = jnp.ones((3, 8))
    logits = mlp(6, (4,)).apply({"params": export.load(out)}, x)
    np.testing.assert_array_equal(logits, mlp(6, (4,)).apply({"params": params}, x))
    with safetensors.safe_open(out, "np") as file:
        assert set(file.keys()) == {
            f"Dense_{i}/{name}" for i in (0, 1) for name in ("kernel", "bias")
        }
        assert file.metadata()["best_round"] == "1"


def test_a_model_that_is_not_there_is_named(workdir, tmp_path):
    pytest.importorskip("safetensors")
    with pytest.raises(FileNotFoundError, match="--model"):
        export.export(workdir, "nobody", tmp_path / "x", SILENT)
    with pytest.raises(FileNotFoundError, match=r"^--out=.*: there is no folder .*/no; create it"):
        export.export(workdir, "central", tmp_path / "no" / "x", SILENT)
