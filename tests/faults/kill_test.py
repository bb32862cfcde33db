"""A run that is killed at any moment and started again ends with the bits of an undisturbed run.

`chaos/disturbances.py` has the disturbances. The default run tries a few; `-m slow` tries all of them,
FL_JAX_TRIALS times each.
"""

import os
import random
import shutil
import signal
import subprocess
import sys

import pytest
from absl import logging
from chaos import disturbances, outcomes, programs, tiny
from chaos.programs import Moment

from fl_jax.experiment.checkpoint_summary import summarize_checkpoints
from fl_jax.workdir import Workdir

ROOT = programs.ROOT
TRIALS = int(os.environ.get("FL_JAX_TRIALS", "3"))


@pytest.fixture(scope="module")
def training(tmp_path_factory):
    """The training, undisturbed."""
    folder = tmp_path_factory.mktemp("kill")
    return tiny.whole(tiny.training(folder, tiny.dataset(folder)), folder / "whole")


def start(program, workdir, *before, **more):
    """Starts a program as a person does, in a process of its own."""
    command = [*before, sys.executable, "-m", program.module, *program.flags]
    environment = os.environ | {
        "XLA_FLAGS": "",
        "JAX_COMPILATION_CACHE_DIR": str(program.folder / "compiled"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    return subprocess.Popen(
        [*command, f"--workdir={workdir}"],
        cwd=ROOT,
        env=environment | more,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_the_undisturbed_training_is_whole(training):
    steps = sorted(name for name in training.found if "checkpoints" in name)
    numbers = [tiny.ROUNDS - 1, tiny.ROUNDS]
    assert steps == [f"models/federated/checkpoints/{n}" for n in numbers]
    records = training.found["models/federated/metrics.jsonl"]
    assert [record["round"] for record in records] == [*range(1, tiny.ROUNDS + 1)]
    for phase in ("training", "save", "deletion", "evaluation"):
        assert len(programs.moments(training.operations, phase)) > 5


def apart(program, workdir, number):
    """What a program leaves that runs in a process of its own, on one core, with its own hashes."""
    cores = str(max(os.sched_getaffinity(0)))
    one = ["taskset", "--cpu-list", cores] if shutil.which("taskset") else []
    with start(program, workdir, *one, PYTHONHASHSEED=str(number)) as process:
        said = process.communicate()[0]
    assert process.returncode == 0, said
    return outcomes.outcome(workdir)


def test_hash_seed_cores_and_the_shell_change_no_bit(training, tmp_path):
    assert not outcomes.differences(apart(training.program, tmp_path, 2), training.found)


@pytest.mark.slow
def test_two_studies_with_models_of_the_sites_are_the_same_bits(tmp_path):
    program = tiny.study(tmp_path, tiny.dataset(tmp_path))
    program = program._replace(flags=(*program.flags, "--config.algorithm=ditto(lam=0.5)"))
    first = tiny.whole(program, tmp_path / "first").found
    assert {"results.json", "report.html", "predictions/personal.csv"} <= first.keys()
    assert not outcomes.differences(apart(program, tmp_path / "second", 2), first)


@pytest.mark.parametrize("phase", [*("training", "save", "deletion"), *("evaluation", "any")])
def test_killed_twice(training, tmp_path, phase, request):
    generator = random.Random(request.node.name)
    lost, kills = disturbances.killed(training, tmp_path, generator, phase, kills=2)
    assert not lost
    assert kills


@pytest.mark.slow
@pytest.mark.parametrize("trial", range(50))
def test_killed_twice_again_and_again(training, tmp_path, trial):
    lost, kills = disturbances.killed(training, tmp_path, random.Random(trial), "any", kills=2)
    assert not lost
    assert kills


def test_a_training_ends_with_the_study_that_started_it(training, tmp_path):
    """And after SIGTERM with status 75; the same command goes on either way."""
    program = training.program._replace(flags=(*training.program.flags, "--attached"))
    with start(program, tmp_path) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write('{"arm": "federated", "site": ""}\n')
        process.stdin.flush()
        process.stdout.readline()
        process.stdin.close()  # as the system does when its writer is killed
        assert process.wait(timeout=60) == 75
    first = Moment("save", 1, signal=signal.SIGTERM)  # of a step; before it comes their folder
    ended = programs.run(training.program, tmp_path, first)
    assert ended.status == 75, ended.said
    saved = next(summarize_checkpoints(Workdir(tmp_path))).step
    assert f"federated: stopped, round {saved} is saved" in ended.said
    assert saved < tiny.ROUNDS
    assert not disturbances.again(training, tmp_path)


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """The undisturbed runs, each made when a trial first needs it."""
    return tiny.Bench(tmp_path_factory.mktemp("bench"))


@pytest.mark.slow
@pytest.mark.parametrize("trial", range(TRIALS))
@pytest.mark.parametrize("name", disturbances.FAULTS)
def test_nothing_is_lost(bench, tmp_path, name, trial):
    logging.set_verbosity(logging.FATAL)  # Orbax logs every damaged file
    disturb = disturbances.FAULTS[name]
    try:
        lost = disturb(bench, tmp_path / "run", random.Random(f"{name} {trial}"))
    except disturbances.NotTriedError as error:
        pytest.skip(str(error))
    assert not lost
