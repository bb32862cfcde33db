"""One of three common tasks, with the record that the runners of other frameworks write.

The folder of `--peers` provides tasks, data, models and the record. Environment variables are defaults:
BENCH_TASK for the task, BENCH_OUT for the record's file, BENCH_ROUNDS for the rounds. On CPU every core is a
device, and sites train on them in parallel.
"""

import importlib
import os
import sys
import tempfile
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import jax
import numpy as np
import optax
from flax import linen as nn

from fl_jax.aggregators.weighted_mean import weighted_mean
from fl_jax.algorithms.fed_avg import fed_avg
from fl_jax.core import layouts
from fl_jax.core.types import Batch
from fl_jax.experiment import machine
from fl_jax.models import layers
from fl_jax.tasks.multi_label import multi_label

_MODELS = {"resnet": "ResNet", "lenet": "LeNet", "mlp": "MLP"}


def run(options: Any) -> dict[str, Any]:
    """Trains the rounds of `options.task` from the folder `peers` and saves the record."""
    folder = Path(options.peers).expanduser()
    needed = [name for name in ("common.py", "flax_models.py") if not (folder / name).is_file()]
    if not options.peers or needed:
        raise ValueError(
            f"peers={options.peers!r}: must be the folder with common.py, flax_models.py"
        )
    name = options.task or os.environ.get("BENCH_TASK")
    if not name:
        raise ValueError("task=None: name one with --task or BENCH_TASK")
    os.environ["BENCH_TASK"] = name
    machine.split(options.devices or machine.cores())
    common, models = _given(folder, "common"), _given(folder, "flax_models")
    # `flax.linen` with the layers that are faster on CPU and compute the same values.
    fast = {name: getattr(layers, name) for name in layers.__all__}
    vars(models)["nn"] = SimpleNamespace(**vars(nn) | fast)
    plan = common.task()

    example = np.zeros((1, plan["hw"], plan["hw"], 3), np.float32)
    job = multi_label(getattr(models, _MODELS[plan["model"]])(), example)
    algorithm = fed_avg(job.loss, optax.sgd(common.LR, momentum=common.MOM), keep_optimizer=False)
    params = jax.jit(job.init)(jax.random.PRNGKey(0))
    sites, key = len(plan["sizes"]), jax.random.key(0)
    state = layouts.init(algorithm, weighted_mean(), params, sites, key)
    choice = layouts.Choice(options.layout, "as asked for")
    if choice.layout == "auto":
        choice = layouts.choose(algorithm, params, sites)
    steps = options.steps_per_call or choice.steps_per_call
    layout = choice.layout
    print(f"layout {layout}, {steps} steps a call: {choice.reason}", flush=True)
    train = layouts.make(layout, algorithm, weighted_mean(), plan["sizes"], steps_per_call=steps)
    batches = []
    for site in range(sites):
        inputs, labels = common.client_data(plan, site, False)
        batches.append(_batches(inputs, labels, plan["batch"]))

    everyone = np.ones(sites, bool)
    recorder = common.Recorder()
    recorder.mark()
    for _ in range(plan["rounds"]):
        state, _ = train(state, batches.__getitem__, everyone)
        jax.block_until_ready(state)
        recorder.mark()
    seconds = np.diff(recorder.marks).tolist()
    norm = float(optax.tree.norm(state.server.params))
    _save(recorder, norm, layout)
    steady = float(np.median(seconds[1:] or seconds))
    print(
        f"task {name}: {1000 * steady:.1f} ms a steady round, "
        f"{plan['images'] / steady:,.0f} images/s, norm {norm:.7g}"
    )
    return {"task": name, "layout": layout, "rounds": seconds, "norm": norm}


def _given(folder: Path, module: str) -> ModuleType:
    """A module of the given folder, whatever else has its name."""
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    return importlib.import_module(module)


def _batches(inputs: np.ndarray, labels: np.ndarray, size: int) -> list[Batch]:
    """Batches in order; the last one is padded and masked, so that one program fits all."""
    batches = []
    for start in range(0, len(inputs), size):
        x, y = inputs[start : start + size], labels[start : start + size]
        missing = size - len(x)
        x, y = (np.pad(a, [(0, missing)] + [(0, 0)] * (a.ndim - 1)) for a in (x, y))
        batches.append(Batch(x, y, (np.arange(size) < size - missing).astype(np.float32)))
    return batches


def _save(recorder: Any, norm: float, layout: str) -> None:
    """Writes the record to BENCH_OUT; without it, to a file that is thrown away."""
    versions = machine.describe()["versions"]
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("BENCH_OUT", f"{folder}/record.json")
        recorder.save(versions, norm=norm, layout=layout)
