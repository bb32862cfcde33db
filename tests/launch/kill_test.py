"""A training that is killed at any moment and started again ends with the bits of one that was not.

By default 5 trials, with `-m slow` 50.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from fl_jax.checkpoint import Store
from fl_jax.data.phantom.cohort import make_cohort
from launch import inspect

ROOT = Path(__file__).parent.parent.parent
ROUNDS = 12
TINY = (
    *("--config=configs/demo.py", "--config.image_size=32", "--config.epochs=0.2"),
    *(f"--config.rounds={ROUNDS}", "--config.model=mlp(6, (8,))", "--progress=lines"),
    *("--config.optimizer=adam(1e-3)", "--config.algorithm=scaffold(option=1)"),
    "--config.aggregator=top_k(0.1)",
)
TIMES = ("seconds", "images_per_second", "wall_seconds")


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    """The command of a training, but for its workdir, and an environment in which it compiles once."""
    folder = tmp_path_factory.mktemp("kill")
    make_cohort(folder / "cohort", seed=0, scale=0.08, matrix=64, workers=1)
    prepare = [sys.executable, "-m", "launch.prepare_data", f"--source={folder / 'cohort'}"]
    prepare += ["--layout=sites", f"--data_dir={folder / 'data'}", "--image_size=32"]
    subprocess.run(prepare, cwd=ROOT, check=True, capture_output=True)
    environment = os.environ | {
        "JAX_COMPILATION_CACHE_DIR": str(folder / "compiled"),
        "JAX_PERSISTENT_COMPILATION_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "XLA_FLAGS": "",
    }
    train = [sys.executable, "-m", "launch.train", *TINY, f"--config.data_dir={folder / 'data'}"]
    return train, environment


def start(command, workdir, **more):
    train, environment = command
    return subprocess.Popen(
        [*train, f"--workdir={workdir}"],
        cwd=ROOT,
        env=environment | more,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(command, workdir, **more):
    with start(command, workdir, **more) as process:
        assert process.stdout
        said = process.stdout.read()
    assert process.returncode == 0, said
    return said


def without_times(value):
    return {name: kept for name, kept in value.items() if name not in TIMES}


def outcome(workdir):
    """All that a run leaves, but for the times."""
    model = workdir / "models" / "federated"
    store = Store(model / "checkpoints", read_only=True)
    steps = {}
    for number in store.steps():
        facts = store.read(number)[1]
        record = without_times(facts["record"])
        steps[number] = facts["digest"], facts["arrays"], facts["best_round"], record
    store.close()
    lines = (model / "metrics.jsonl").read_text().splitlines()
    return {
        "steps": steps,
        "metrics": [without_times(json.loads(line)) for line in lines],
        "done": without_times(json.loads((model / "done.json").read_text())),
        "predictions": (workdir / "predictions" / "federated.csv").read_bytes(),
        "partition": (workdir / "partition.csv").read_bytes(),
        "inputs": (model / "inputs.json").read_bytes(),
    }


class Whole(NamedTuple):
    """What uninterrupted runs leave: one, and one on a single core with another hash seed, and its seconds
    from its first word to its end, when all is compiled."""

    found: dict[str, Any]
    other: dict[str, Any]
    seconds: float


@pytest.fixture(scope="module")
def whole(command, tmp_path_factory):
    first, second = tmp_path_factory.mktemp("first"), tmp_path_factory.mktemp("second")
    finish(command, first, PYTHONHASHSEED="1")
    train, environment = command
    if shutil.which("taskset"):
        train = ["taskset", "--cpu-list", str(max(os.sched_getaffinity(0))), *train]
    with start((train, environment), second, PYTHONHASHSEED="2") as process:
        assert process.stdout
        process.stdout.readline()
        began = time.monotonic()
        said = process.stdout.read()
    assert process.returncode == 0, said
    return Whole(outcome(first), outcome(second), time.monotonic() - began)


def test_hash_seed_and_cores_change_no_bit(whole):
    assert whole.found == whole.other
    assert list(whole.found["steps"]) == [ROUNDS, ROUNDS - 1]
    assert [record["round"] for record in whole.found["metrics"]] == [*range(1, ROUNDS + 1)]


def killed(command, workdir, generator, seconds):
    """Kills a training twice, at a random time from its first word on, and lets it end; counts the kills."""
    kills = 0
    for _ in range(2):
        with start(command, workdir) as process:
            assert process.stdout
            process.stdout.readline()
            try:
                process.communicate(timeout=generator.uniform(0, 0.8) * seconds)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.communicate()
                kills += 1
    finish(command, workdir)
    return kills


def check(command, whole, workdir, trial):
    kills = killed(command, workdir, random.Random(trial), whole.seconds)
    assert outcome(workdir) == whole.found, f"trial {trial}, after {kills} kills"
    return kills


def test_killed_at_random_times(command, whole, tmp_path):
    kills = [check(command, whole, tmp_path / str(trial), trial) for trial in range(5)]
    assert sum(kills) >= 5, kills


@pytest.mark.slow
@pytest.mark.parametrize("trial", range(5, 55))
def test_killed_at_more_random_times(command, whole, tmp_path, trial):
    check(command, whole, tmp_path, trial)


def test_sigterm_saves_the_round_and_the_same_command_goes_on(command, whole, tmp_path):
    with start(command, tmp_path) as process:
        assert process.stdout
        for line in process.stdout:
            if '"record"' in line:
                process.send_signal(signal.SIGTERM)
                break
        said = process.stdout.read()
    assert process.returncode == os.EX_TEMPFAIL, said
    saved = [step.number for step in inspect.steps(tmp_path)]
    assert f"federated: ended by SIGTERM, round {saved[0]} is saved" in said
    assert saved[0] < ROUNDS
    assert f"goes on after round {saved[0]}" in finish(command, tmp_path)
    assert outcome(tmp_path) == whole.found
