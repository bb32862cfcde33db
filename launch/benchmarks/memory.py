"""What a large model's training step holds, with a batch in parts and with blocks computed again.

Two figures of each case, for which nothing is trained. *Kept*: what the forward pass of one part leaves for
the backward pass, parameters included, by JAX's shapes, before a compiler merges anything. *Temporary*: of
the compiled gradient on this backend, gradients of parts included. XLA:CPU finds what is computed twice and
does it once, which undoes `remat`.
"""

import re
import time
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from fl_jax.core import spec
from fl_jax.core.types import LABELS, Batch
from fl_jax.data import windows
from fl_jax.tasks.task import multi_label
from launch.benchmarks import table

MODEL, PIXELS, BATCH = "deep_resnet(50, norm='group')", 256, 8
CASES = ((1, False), (2, False), (4, False), (1, True), (4, True))
"""Parts of a batch, and whether blocks are computed again."""


def run(options: Any) -> dict[str, Any]:
    """Measures each case and prints a table.

    Args:
        options: `cases`, a regular expression for names such as `accumulate=4, remat=False`.

    Returns:
        `{"model", "pixels", "batch", "cases": [...]}`, see `measure`.
    """
    model = spec.build(MODEL, "fl_jax.models")
    cases = []
    for accumulate, remat in CASES:
        name = f"accumulate={accumulate}, remat={remat}"
        if re.search(options.cases, name):
            found = measure(model.clone(remat=remat), PIXELS, BATCH, accumulate)
            cases.append({"case": name, **found})
    rows = [
        [
            case["case"],
            *(f"{case[figure] / 2**20:.0f}" for figure in ("kept_bytes", "temporary_bytes")),
            f"{case['flops'] / 1e9:.0f}",
            f"{case['compile_seconds']:.0f}",
            "",
        ]
        for case in cases
    ]
    title = f"memory: {MODEL}, {PIXELS} px, batch of {BATCH}"
    head = ("", "kept MiB", "temporary MiB", "10^9 operations", "compile, s", "")
    print(table.text(title, head, rows), flush=True)
    return {"model": MODEL, "pixels": PIXELS, "batch": BATCH, "cases": cases}


def measure(model: nn.Module, pixels: int, batch: int, accumulate: int) -> dict[str, Any]:
    """Compiles a step's gradient.

    Returns:
        `kept_bytes`, `temporary_bytes`, `flops` and `compile_seconds`.
    """
    part = _task(model, pixels, 1)
    params = jax.eval_shape(part.init, jax.random.key(0))
    kept = jax.eval_shape(
        lambda *of: jax.vjp(lambda p: part.loss(p, *of[1:]), of[0])[1],
        params,
        *_inputs(pixels, batch // accumulate),
    )
    began = time.monotonic()
    gradient = jax.jit(jax.value_and_grad(_task(model, pixels, accumulate).loss))
    compiled = gradient.lower(params, *_inputs(pixels, batch)).compile()
    taken = time.monotonic() - began
    memory: Any = compiled.memory_analysis()
    costs: Any = compiled.cost_analysis()
    return {
        "kept_bytes": sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(kept)),
        "temporary_bytes": memory.temp_size_in_bytes,
        "flops": costs["flops"],
        "compile_seconds": taken,
    }


def _task(model: nn.Module, pixels: int, accumulate: int) -> Any:
    example = jnp.zeros((1, pixels, pixels), jnp.int16)
    return multi_label(model, example, prepare=windows.channels, micro_batches=accumulate)


def _inputs(pixels: int, batch: int) -> tuple[Any, Any]:
    shape = jax.ShapeDtypeStruct
    hu, mask = shape((batch, pixels, pixels), jnp.int16), shape((batch,), jnp.float32)
    arrays: Any = hu, shape((batch, len(LABELS)), jnp.float32), mask
    return Batch(*arrays), jax.eval_shape(jax.random.key, 0)
