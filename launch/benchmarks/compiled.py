"""Programs compiled ahead of time for accelerators, and judged by what the compilers say of them.

Nothing runs. XLA counts a loop's body once, so operations and bytes are those of one step of a client, or of
one lock-step of all sites. The time is the roofline max(operations / peak, bytes / bandwidth), at the peak in
bfloat16; launches come on top of it.
"""

import math
import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from fl_jax.aggregators.weighted_mean import weighted_mean
from fl_jax.algorithms.fed_avg import fed_avg
from fl_jax.core import layouts, spec
from fl_jax.core.layouts import common
from fl_jax.core.types import LABELS, Batch
from fl_jax.data import windows
from fl_jax.data.augmentation import augment
from fl_jax.tasks.multi_label import multi_label
from fl_jax.tasks.task import Task
from launch.benchmarks import cases, table
from launch.benchmarks.targets import TARGETS, Target

STEPS = 8
"""Steps of a scan, and of each site in a whole round."""
MEMORY_LIMIT = 2.0
"""Times of memory and arithmetic may differ by this factor."""
_HEAD = (
    *("", "kernels", "a site and step", "convolutions", "gathers", "loops", "collectives"),
    *(
        "10^9 flops",
        "MB moved",
        "roofline ms",
        "cost model ms",
        "temp MB",
        "args MB",
        "compile s",
        "",
    ),
)
_NO_KERNEL = {
    *("parameter", "constant", "tuple", "get-tuple-element", "bitcast", "reshape", "after-all"),
    *("while", "call", "conditional", "partition-id", "replica-id"),
}
_COLLECTIVES = r"(?:all-reduce|all-gather|all-to-all|reduce-scatter|collective-permute)"
_COMPUTATION = re.compile(r"^(?:ENTRY )?%?([\w.\-]+) \(.*\{$")
_BODY, _CALLED = re.compile(r"body=%?([\w.\-]+)"), re.compile(r"to_apply=%?([\w.\-]+)")
_OPERATION = re.compile(r"^\s+(?:ROOT )?%?[\w.\-]+ = (.*?) ([a-z][a-z0-9\-]*)\(")


class Program(NamedTuple):
    """A line of the table.

    Attributes:
        name: what `--cases` looks in.
        task: makes the task, and shape and dtype of one input.
        batch: B.
        sites: of a whole round; 0 for one client.
        steps: of a client in one call.
    """

    name: str
    task: Callable[[], tuple[Task, jax.ShapeDtypeStruct]]
    batch: int
    sites: int
    steps: int


def scans(model: str, pixels: int) -> tuple[Task, jax.ShapeDtypeStruct]:
    """A model on CT slices: windows, rotation and flips in the step."""
    example = jax.ShapeDtypeStruct((pixels, pixels), jnp.int16)
    made = spec.build(model, "fl_jax.models")
    zeros = jnp.zeros((1, *example.shape), example.dtype)
    return multi_label(made, zeros, prepare=windows.channels, augment=augment), example


_BFLOAT16 = "labels=6, norm='group', dtype='bfloat16')"
MODELS = {
    "demo's ResNet, 16 x 128 px": (partial(scans, "resnet()", 128), 16),
    "ResNet-50 bf16, 16 x 256 px": (partial(scans, f"deep_resnet(50, {_BFLOAT16}", 256), 16),
    "ResNeXt-101 bf16, 16 x 256 px": (partial(scans, f"resnext(101, 32, 8, {_BFLOAT16}", 256), 16),
    "MLP, 32 x 32 px": (partial(cases.images, cases.Mlp()), 32),
}
PARTS = {
    "step": (0, 1),
    f"{STEPS} steps": (0, STEPS),
    **{f"round of {sites} sites": (sites, STEPS) for sites in (5, 20, 100)},
}
PROGRAMS = tuple(
    Program(f"{model}: {part}", task, batch, *shape)
    for model, (task, batch) in MODELS.items()
    for part, shape in PARTS.items()
)


def run(options: Any) -> dict[str, Any]:
    """Compiles the programs that `options.cases` selects, for each target whose compiler is installed."""
    chosen, lines, skipped = cases.select("cases", options.cases, PROGRAMS), [], []
    for target in TARGETS:
        if missing := target.missing():
            print(missing, flush=True)
            skipped.append(missing)
            continue
        device = target.device()
        for program in chosen:
            lines.append(compiled(target, device, program))
            print(f"{target.name}, {lines[-1]['program']}: {lines[-1]['compile_seconds']:.0f} s")
        rows = [_row(line) for line in lines if line["target"] == target.name]
        print(table.text(target.name, _HEAD, rows), flush=True)
    return {"steps": STEPS, "programs": lines, "skipped": skipped}


def compiled(target: Target, device: Any, program: Program) -> dict[str, Any]:
    """Compiles a program and reads its figures."""
    function, arguments = traced(program)
    sharding = jax.sharding.SingleDeviceSharding(device)
    arguments = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), arguments
    )
    start = time.perf_counter()
    lowered = jax.jit(function, donate_argnums=0).trace(*arguments)
    lowered = lowered.lower(lowering_platforms=(target.platform,))
    done: Any = lowered.compile(compiler_options=target.options)
    seconds = time.perf_counter() - start
    costs = done.cost_analysis() or {}  # the GPU's compiler gives none
    memory = done.memory_analysis()
    line = counts(done.as_text())
    flops, moved = costs.get("flops"), costs.get("bytes accessed")
    roofline = None
    if flops and moved:
        roofline = max(flops / target.operations, moved / target.bandwidth)
    optimal = costs.get("optimal_seconds")
    line |= {
        "target": target.name,
        "program": program.name,
        "kernels_per_site_and_step": line["kernels"] / max(program.sites, 1),
        "flops": flops,
        "bytes": moved,
        "roofline_seconds": roofline,
        # An operation that XLA cannot model counts as -1 s there, and as nothing here.
        "optimal_seconds": optimal and optimal - math.floor(optimal),
        "temporary_bytes": memory.temp_size_in_bytes,
        "argument_bytes": memory.argument_size_in_bytes,
        "compile_seconds": seconds,
    }
    return line | {"exceeded": exceeded(line, target)}


def traced(program: Program) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """A program's function and the shapes of its arguments."""
    task, example = program.task()
    algorithm = fed_avg(task.loss, optax.adam(3e-4), keep_optimizer=True)
    params, key = jax.eval_shape(task.init, jax.random.key(0)), jax.random.key(0)

    def batch(*leading: int) -> Batch:
        shape: Any = jax.ShapeDtypeStruct
        leading = (*leading, program.batch)
        return Batch(
            shape((*leading, *example.shape), example.dtype),
            shape((*leading, len(LABELS)), jnp.float32),
            shape(leading, jnp.float32),
        )

    if program.sites:
        between = (algorithm, weighted_mean())
        init = partial(layouts.init, *between, sites=program.sites, key=key)
        present = jax.ShapeDtypeStruct((program.sites,), bool)
        state = jax.eval_shape(lambda params: init(params), params)
        return layouts.whole_round(*between), (state, batch(program.sites, program.steps), present)

    def start(params: Any) -> Any:
        broadcast = algorithm.broadcast(algorithm.init_server(params))
        return algorithm.client.start(broadcast, algorithm.init_site(params), key)

    local = jax.eval_shape(start, params)
    if program.steps == 1:
        return algorithm.client.step, (local, batch())
    return partial(common.chain, algorithm.client.step), (local, [batch()] * program.steps)


def counts(text: str) -> dict[str, int]:
    """Counts what an optimised HLO module launches.

    Returns:
        kernels of the largest loop's body, or of the entry where it is larger: one step. Asynchronous copies
        and values of one element are none. Of the whole module: convolutions (cuDNN's calls among them),
        gathers, loops, collectives.
    """
    kernels, calls, bodies = Counter[str](), defaultdict[str, list[str]](list), set()
    name = ""
    for line in text.splitlines():
        if start := _COMPUTATION.match(line):
            name = start[1]
            if line.startswith("ENTRY"):
                bodies.add(name)
        elif operation := _OPERATION.match(line):
            shape, kind = operation.groups()
            single = re.match(r"\w+\[1?(,1)*\]", shape)
            apart = kind in _NO_KERNEL or kind.endswith(("-start", "-done"))
            kernels[name] += not (single or apart)
            bodies |= {*_BODY.findall(line)}
            if kind == "call":  # a GPU's graph of kernels
                calls[name] += _CALLED.findall(line)

    def launched(name: str) -> int:
        return kernels[name] + sum(map(launched, calls[name]))

    return {
        "kernels": max(map(launched, bodies)),
        "convolutions": len(re.findall(r" convolution\(|target=\"__cudnn", text)),
        "gathers": text.count(" gather("),
        "loops": text.count(" while("),
        "collectives": len(re.findall(rf" {_COLLECTIVES}(?:-start)?\(", text)),
    }


def exceeded(line: dict[str, Any], target: Target) -> list[str]:
    """The limits that a program exceeds."""
    over = []
    if line["temporary_bytes"] + line["argument_bytes"] > target.memory:
        over.append("memory")
    if line["flops"]:
        arithmetic, memory = line["flops"] / target.operations, line["bytes"] / target.bandwidth
        if memory > MEMORY_LIMIT * arithmetic:
            over.append(f"memory's time {memory / arithmetic:.1f} x arithmetic's")
    over += [f"{line[name]} {name}" for name in ("gathers", "collectives") if line[name]]
    return over


def _row(line: dict[str, Any]) -> list[str]:
    def number(name: str, scale: float, digits: int) -> str:
        return "" if line[name] is None else f"{line[name] / scale:,.{digits}f}"

    return [
        line["program"],
        str(line["kernels"]),
        f"{line['kernels_per_site_and_step']:.1f}",
        *(str(line[name]) for name in ("convolutions", "gathers", "loops", "collectives")),
        number("flops", 1e9, 2),
        number("bytes", 2**20, 0),
        number("roofline_seconds", 1e-3, 3),
        number("optimal_seconds", 1e-3, 3),
        number("temporary_bytes", 2**20, 0),
        number("argument_bytes", 2**20, 0),
        number("compile_seconds", 1, 0),
        ", ".join(line["exceeded"]),
    ]
