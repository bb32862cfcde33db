"""The cost of input: slices a second into the training step, and how long the device waits for them.

The floor is a NumPy gather from memory, with no prefetching. The pipeline is measured from memory and from
disk, with single slices and with three adjacent ones, in the demo's shape. The device *waits* if it has
finished its step before the next batch is ready; all the time that the batch took then counts, so the share
is an upper bound. It includes starting the pipeline, once for each site and round.
"""

import dataclasses
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from fl_jax.core.layouts import common
from fl_jax.core.types import LABELS, Batch
from fl_jax.data import pipeline
from fl_jax.data.adjacent import neighbours
from fl_jax.data.order import example_order
from fl_jax.data.records import Records, Writer
from fl_jax.data.slices import Slices
from fl_jax.experiment import machine
from launch.benchmarks import cases, measure, table

SLICES, PIXELS, BATCH, STEPS = 2048, 128, 16, 48
_HEAD = ("", "x floor", "range", "slices/s", "waits %", "range %", "images/s", "")
Source = Callable[[], Iterable[Batch]]
"""Makes the batches of one round."""


def run(options: Any) -> dict[str, Any]:
    """Measures every source of batches with `options.repetitions` and `devices`."""
    machine.split(options.devices)
    slices = dataset()
    order = example_order(len(slices), BATCH * STEPS, 0, 0, "site")
    with tempfile.TemporaryDirectory() as folder:
        contenders = sources(slices, on_disk(slices, Path(folder)))
        floor = partial(gather, slices, order)
        works = {name: partial(_drain, source) for name, source in contenders.items()}
        taken = measure.compare(partial(_drain, floor), works, options.repetitions)
        figures = {
            name: took._asdict()
            | {"slices_per_second": len(order) / took.seconds}
            | waiting(source, options.repetitions)
            for (name, took), source in zip(
                taken.items(), (floor, *contenders.values()), strict=True
            )
        }
    title = f"input: {SLICES} slices of {PIXELS} px, {STEPS} steps of {BATCH}"
    print(table.text(title, _HEAD, [_row(*line) for line in figures.items()]), flush=True)
    return {"slices": SLICES, "pixels": PIXELS, "batch": BATCH, "steps": STEPS, "measured": figures}


def dataset() -> Slices:
    """Noise in memory: series of 32 slices."""
    generator = np.random.default_rng(0)
    number = np.arange(SLICES)
    series = np.array([f"series{n // 32:04d}" for n in number])
    return Slices(
        image=np.array([f"image{n:05d}" for n in number]),
        patient=series,
        study=series,
        series=series,
        site=np.full(SLICES, "site"),
        position=(5.0 * (number % 32)).astype(np.float32),
        labels=(generator.random((SLICES, len(LABELS))) < 0.3).astype(np.int8),
        thickness=np.full(SLICES, 5, np.float32),
        image_shape=(PIXELS, PIXELS),
        source=None,
        pixels=generator.integers(-1024, 1024, (SLICES, PIXELS, PIXELS), np.int16),
    )


def on_disk(slices: Slices, folder: Path) -> Slices:
    """The same slices, with their pixels in records under `folder`."""
    pixels = slices.hu(np.arange(len(slices)))
    with Writer(folder, PIXELS) as records:
        for row, image in enumerate(slices.image.tolist()):
            records.add(image, pixels[row], slices.labels[row])
    return dataclasses.replace(slices, pixels=None, source=Records(folder, PIXELS))


def sources(in_memory: Slices, streamed: Slices) -> dict[str, Source]:
    """The contenders by name."""
    rows = np.arange(len(in_memory))
    contenders = {}
    for count, adjacent in (("", None), (", 3 slices", neighbours(in_memory))):
        for where, slices in (("memory", in_memory), ("disk", streamed)):
            contenders[where + count] = partial(
                pipeline.train_batches,
                dataclasses.replace(slices, adjacent=adjacent),
                rows,
                batch_size=BATCH,
                examples=BATCH * STEPS,
                seed=0,
                round_index=0,
                site="site",
            )
    return contenders


def gather(slices: Slices, order: np.ndarray) -> Iterator[Batch]:
    """The floor."""
    assert slices.pixels is not None
    for rows in order.reshape(-1, BATCH):
        labels = slices.labels[rows].astype(np.float32)
        yield Batch(slices.pixels[rows], labels, np.ones(BATCH, np.float32))


def waiting(source: Source, repetitions: int) -> dict[str, Any]:
    """Trains the demo's model on a source.

    Returns:
        `waits`, the median share of the time that the device waits for a batch, `waits_range`, and
        `images_per_second` of the training.
    """
    first = next(iter(source()))
    job, _ = cases.scans(PIXELS, first.inputs.shape[1:-2])
    step = partial(cases.optax_step, job.loss)
    params = jax.jit(job.init)(jax.random.key(0))
    state = step((params, cases.OPTIMIZER.init(params), jax.random.key(1)), first)
    shares, rates = [], []
    for _ in range(repetitions):
        state = jax.block_until_ready(state)
        waited, began = 0.0, time.perf_counter()
        before, batches = began, iter(common.ahead(source()))
        while (batch := next(batches, None)) is not None:
            if jax.tree.leaves(state)[0].is_ready():
                waited += time.perf_counter() - before
            state = step(state, batch)
            before = time.perf_counter()
        state = jax.block_until_ready(state)
        seconds = time.perf_counter() - began
        shares.append(waited / seconds)
        rates.append(BATCH * STEPS / seconds)
    return {
        "waits": statistics.median(shares),
        "waits_range": (min(shares), max(shares)),
        "images_per_second": statistics.median(rates),
    }


def _drain(source: Source) -> None:
    for _ in source():
        pass


def _row(name: str, line: dict[str, Any]) -> list[str]:
    least, most = line["waits_range"]
    return [
        name,
        *table.ratio(line),
        f"{line['slices_per_second']:,.0f}",
        f"{100 * line['waits']:.2f}",
        f"{100 * least:.2f}-{100 * most:.2f}",
        f"{line['images_per_second']:,.0f}",
        f"a NumPy gather; {table.NOISE}" if name == "floor" else "",
    ]
