"""Batches of a dataset for training and evaluation, streamed by tf.data.

Batches are a pure function of (dataset, rows, seed, round, site), see `order`. Indices are shuffled, never
pixels. tf.data gathers and prefetches in background threads while the device computes. TensorFlow is imported
with the first batch and kept off the accelerator.
"""

import os
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np

from fl_jax.core.types import Batch
from fl_jax.data.order import balanced_order, example_order
from fl_jax.data.slices import Slices
from fl_jax.files.extras import extra

PREFETCH = 4
"""Batches that wait ready for the device."""
_tensors: weakref.WeakKeyDictionary[Slices, Any] = weakref.WeakKeyDictionary()


def train_batches(
    slices: Slices,
    rows: np.ndarray,
    *,
    batch_size: int,
    examples: int,
    seed: int,
    round_index: int,
    site: str,
    balanced: bool = False,
) -> Iterator[Batch]:
    """One round's training batches of one site.

    Args:
        slices: the dataset, on disk or in memory.
        rows: int[n], the site's training examples: slices, or studies if the dataset is `Studies`.
        batch_size: B; every batch has B examples.
        examples: how many examples to yield; the last batch is padded with mask 0.
        seed: the run's seed.
        round_index: from 0.
        site: the site's name.
        balanced: `order.balanced_order` instead of `order.example_order`.

    Returns:
        An iterator over ceil(examples / B) batches of NumPy arrays: int16[B, H, W] HU, or int16[B, 3, H, W]
        with adjacent slices; float32[B, L]; float32[B]. For studies see `types.Study` and `Studies.targets`.

    Raises:
        ValueError: batch_size < 1, or an error of `example_order`.
    """
    if balanced:
        order = balanced_order(slices.labels[rows], examples, seed, round_index, site)
    else:
        order = example_order(len(rows), examples, seed, round_index, site)
    return _batches(slices, np.asarray(rows)[order], batch_size)


def eval_batches(slices: Slices, rows: np.ndarray, *, batch_size: int) -> Iterator[Batch]:
    """Each row once, in order; the last batch is padded with mask 0, never dropped.

    Args:
        slices: the dataset, on disk or in memory.
        rows: int[n], examples as in `train_batches`; n = 0 yields nothing.
        batch_size: B; every batch has B examples.

    Returns:
        An iterator over ceil(n / B) batches, see `train_batches`.

    Raises:
        ValueError: batch_size < 1.
    """
    return _batches(slices, np.asarray(rows), batch_size)


def _batches(slices: Slices, order: np.ndarray, batch_size: int) -> Iterator[Batch]:
    """Checks arguments immediately. Padding repeats the last row, so that it is finite and typical."""
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}: give at least 1")
    if not len(order):
        return iter(())
    steps = -(-len(order) // batch_size)
    mask = (np.arange(steps * batch_size) < len(order)).astype(np.float32)
    padded = np.pad(order.astype(np.int64), (0, len(mask) - len(order)), mode="edge")
    return _stream(slices, padded.reshape(steps, batch_size), mask.reshape(steps, batch_size))


def _stream(slices: Slices, order: np.ndarray, mask: np.ndarray) -> Iterator[Batch]:
    tf = _tensorflow()
    shape = (order.shape[1], *slices.input_shape)

    def in_memory(rows: Any) -> Any:
        return tf.gather(pixels, rows)

    def read(rows: np.ndarray) -> np.ndarray:
        try:
            return slices.hu(rows)
        except Exception as error:
            failed.append(error)
            raise

    def from_disk(rows: Any) -> Any:
        return tf.ensure_shape(tf.numpy_function(read, [rows], tf.int16), shape)

    failed: list[Exception] = []
    pixels = _tensor(slices, tf)
    gather, readers = (in_memory, 1) if pixels is not None else (from_disk, 2)
    gather = tf.autograph.experimental.do_not_convert(gather)
    dataset = tf.data.Dataset.from_tensor_slices(slices.input_rows(order))
    dataset = dataset.map(gather, num_parallel_calls=readers, deterministic=True)
    options = tf.data.Options()
    options.threading.private_threadpool_size = readers
    options.threading.max_intra_op_parallelism = 1
    # The graph has one operation: rewriting and tuning it costs 40 ms a call and gains nothing.
    options.experimental_optimization.apply_default_optimizations = False
    options.autotune.enabled = False
    dataset = dataset.prefetch(PREFETCH).with_options(options)
    try:
        for step, hu in enumerate(dataset.as_numpy_iterator()):
            rows = order[step]
            yield Batch(slices.inputs(hu, rows), slices.targets(rows), mask[step])
    except tf.errors.OpError:  # has the text of a traceback in the place of our error
        if failed:
            raise failed[0] from None
        raise


def _tensor(slices: Slices, tf: Any) -> Any:
    """In-memory pixels as a tensor, copied once per dataset; None if pixels are on disk."""
    if slices.pixels is None:
        return None
    if slices not in _tensors:
        with tf.device("CPU"):
            _tensors[slices] = tf.constant(slices.pixels)
    return _tensors[slices]


def _tensorflow() -> Any:
    """Imports TensorFlow without start-up messages and hides the accelerator from it."""
    for name, value in {"TF_CPP_MIN_LOG_LEVEL": "2", "TF_ENABLE_ONEDNN_OPTS": "0"}.items():
        os.environ.setdefault(name, value)  # both only silence messages; we do nothing but gather
    with extra("ct"):
        import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        tf.config.set_visible_devices([], "GPU")
    return tf
