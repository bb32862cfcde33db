import json
import shutil
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fl_jax.experiment.checkpoint import Store
from fl_jax.experiment.checkpoint_summary import SOUND, summarize_checkpoints
from fl_jax.workdir import Workdir


@pytest.fixture
def workdir(tmp_path):
    for model in ("federated", "central"):
        store = Store(Workdir(tmp_path).arm(model).checkpoints)
        for step in (1, 2):
            tree = ({"w": jnp.full((3, 2), step), "key": jax.random.key(5)}, jnp.float32(1))
            record = {"round": step, "loss": 0.5, "val_macro_auroc": None}
            store.save(step, tree, {"best_round": 1, "record": record})
    return Workdir(tmp_path)


def test_every_step_with_its_arrays(workdir):
    steps = list(summarize_checkpoints(workdir))
    assert [(step.arm, step.step) for step in steps] == [
        *(("central", 2), ("central", 1)),
        *(("federated", 2), ("federated", 1)),
    ]
    assert {step.state for step in steps} == {SOUND}
    first = steps[0]
    assert [(row["path"], row["shape"], row["bytes"]) for row in first.arrays] == [
        *(("0/key", [2], 8), ("0/w", [3, 2], 24), ("1", [], 4)),
    ]
    assert first.facts["best_round"] == 1
    assert len(list(summarize_checkpoints(workdir, "central"))) == 2


def test_a_damaged_step_is_said_to_be(workdir):
    folder = workdir.arm("central").checkpoints
    (folder / "2" / "facts" / "metadata").unlink()
    before = {path: path.stat().st_mtime_ns for path in workdir.root.rglob("*")}
    states = [step.state for step in summarize_checkpoints(workdir, "central")]
    assert states[0].startswith("damaged: ")
    assert states[1] == SOUND
    assert {path: path.stat().st_mtime_ns for path in workdir.root.rglob("*")} == before


def test_the_program_prints_both_tables_and_its_status_tells_of_damage(workdir):
    command = [sys.executable, "-m", "launch.checkpoints", f"--workdir={workdir}", "--arrays"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    digest = next(summarize_checkpoints(workdir)).facts["digest"]
    assert digest[:16] in done.stdout
    assert np.all([word in done.stdout for word in ("federated", "0/w", "3 x 2", "int32")])
    command[-1] = "--json"
    done = subprocess.run(command, capture_output=True, text=True)
    assert json.loads(done.stdout)[0]["facts"]["digest"] == digest
    shutil.rmtree(workdir.arm("central").checkpoints / "2" / "arrays")
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == "damaged: central 2; training resumes from the step before\n"


def test_what_is_not_there_is_named(workdir):
    with pytest.raises(FileNotFoundError, match="no checkpoints of other, but of central, fed"):
        list(summarize_checkpoints(workdir, "other"))
