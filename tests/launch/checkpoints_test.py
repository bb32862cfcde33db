import shutil
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fl_jax.experiment.checkpoint import Store
from launch import checkpoints as inspect

STORED = Path(__file__).parent.parent / "stored" / "checkpoint_format_1"


@pytest.fixture
def workdir(tmp_path):
    for model in ("federated", "central"):
        store = Store(tmp_path / "models" / model / "checkpoints")
        for step in (1, 2):
            tree = ({"w": jnp.full((3, 2), step), "key": jax.random.key(5)}, jnp.float32(1))
            record = {"round": step, "loss": 0.5, "val_macro_auroc": None}
            store.save(step, tree, {"best_round": 1, "record": record})
        store.close()
    return tmp_path


def test_every_step_with_its_arrays(workdir):
    found = list(inspect.steps(workdir))
    assert [(step.model, step.number) for step in found] == [
        *(("central", 2), ("central", 1)),
        *(("federated", 2), ("federated", 1)),
    ]
    assert {step.state for step in found} == {inspect.SOUND}
    first = found[0]
    assert [(row["path"], row["shape"], row["bytes"]) for row in first.rows] == [
        *(("0/key", [2], 8), ("0/w", [3, 2], 24), ("1", [], 4)),
    ]
    assert first.facts["best_round"] == 1
    assert len(list(inspect.steps(workdir, "central"))) == 2


def test_a_damaged_step_is_said_to_be(workdir):
    folder = workdir / "models" / "central" / "checkpoints"
    (folder / "2" / "facts" / "metadata").unlink()
    before = {path: path.stat().st_mtime_ns for path in workdir.rglob("*")}
    states = [step.state for step in inspect.steps(workdir, "central")]
    assert states[0].startswith("damaged: ")
    assert states[1] == inspect.SOUND
    assert {path: path.stat().st_mtime_ns for path in workdir.rglob("*")} == before


def test_the_first_format_is_read_and_said_not_to_be_verified(tmp_path):
    shutil.copytree(STORED, tmp_path / "models" / "central" / "checkpoints")
    (step,) = inspect.steps(tmp_path)
    assert step.state == inspect.UNVERIFIED
    assert [row["path"] for row in step.rows][:3] == ["first/key", "first/n", "first/w"]
    assert all(len(row["sha256"]) == 64 for row in step.rows)


def test_the_program_prints_both_tables_and_its_status_tells_of_damage(workdir):
    command = [sys.executable, "-m", "launch.checkpoints", f"--workdir={workdir}", "--arrays"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    digest = next(inspect.steps(workdir)).facts["digest"]
    assert digest[:16] in done.stdout
    assert np.all([word in done.stdout for word in ("federated", "0/w", "3 x 2", "int32")])
    shutil.rmtree(workdir / "models" / "central" / "checkpoints" / "2" / "arrays")
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == "damaged: central 2; a run goes on from the step before\n"


def test_what_is_not_there_is_named(workdir):
    with pytest.raises(FileNotFoundError, match="no checkpoints of other; it has central, fed"):
        list(inspect.steps(workdir, "other"))
