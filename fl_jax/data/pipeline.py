"""Batches are a pure function of (dataset, rows, seed, round, site), so a resumed run sees the same.

    order(n, examples, seed, round, site) = permutation_1, permutation_2, ...   cut at `examples`

Each round starts fresh permutations from its own seed. A site of n examples that is asked for more
than n goes through whole epochs: no example is seen k + 2 times before all were seen k + 1 times.
Indices are shuffled, never slices, and a checkpoint needs no iterator: round and seed say it all.

tf.data gathers and prefetches in threads of its own while the device computes. TensorFlow is loaded
when the first batch is asked for, and kept off the accelerator.
"""

import hashlib
import os
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np

from fl_jax.data.slices import Slices
from fl_jax.types import Batch

PREFETCH = 4
"""Batches that wait ready for the device."""
_tensors: weakref.WeakKeyDictionary[Slices, Any] = weakref.WeakKeyDictionary()


def example_order(n: int, examples: int, seed: int, round: int, site: str) -> np.ndarray:
    """The order in which a round goes through a site's examples.

    Args:
        n: examples at the site.
        examples: how many to yield; may exceed n.
        seed: the run's seed, not negative.
        round: the round's number, from 0.
        site: the site's name; sites of equal size see unrelated orders.

    Returns:
        int64[examples] in [0, n): successive permutations of range(n).

    Raises:
        ValueError: n < 1, examples < 0, or a negative seed or round.
    """
    if n < 1:
        raise ValueError(f"n is {n}: site {site!r} has no examples to train on")
    if examples < 0 or seed < 0 or round < 0:
        raise ValueError(f"examples {examples}, seed {seed}, round {round}: none may be negative")
    name = int.from_bytes(hashlib.sha256(site.encode()).digest()[:8], "big")
    rng = np.random.default_rng([seed, round, name])
    epochs = [rng.permutation(n) for _ in range(-(-examples // n))]
    return np.concatenate(epochs)[:examples] if epochs else np.zeros(0, np.int64)


def train_batches(
    slices: Slices,
    rows: np.ndarray,
    *,
    batch_size: int,
    examples: int,
    seed: int,
    round: int,
    site: str,
) -> Iterator[Batch]:
    """One round's batches of one site, in the order of `example_order`.

    Args:
        slices: the dataset, on disk or in memory.
        rows: int[n], the site's training examples: slices, or studies where the dataset is `Studies`.
        batch_size: B; every batch has it.
        examples: how many examples to yield in all; the last batch is padded with mask 0.
        seed: the run's seed.
        round: the round's number, from 0.
        site: the site's name.

    Returns:
        An iterator over ceil(examples / B) batches of NumPy arrays: int16[B, H, W] HU,
        or int16[B, 3, H, W] where the dataset says which slices are adjacent, float32[B, L],
        float32[B]; for studies see `types.Study` and `Studies.truth`.

    Raises:
        ValueError: batch_size < 1, or `example_order` objects.
    """
    order = example_order(len(rows), examples, seed, round, site)
    return _batches(slices, np.asarray(rows)[order], batch_size)


def eval_batches(slices: Slices, rows: np.ndarray, *, batch_size: int) -> Iterator[Batch]:
    """The rows in their order, each once; the last batch is padded with mask 0, never dropped.

    Args:
        slices: the dataset, on disk or in memory.
        rows: int[n], examples as in `train_batches`; n = 0 yields nothing.
        batch_size: B; every batch has it.

    Returns:
        An iterator over ceil(n / B) batches, as from `train_batches`.

    Raises:
        ValueError: batch_size < 1.
    """
    return _batches(slices, np.asarray(rows), batch_size)


def _batches(slices: Slices, order: np.ndarray, batch_size: int) -> Iterator[Batch]:
    """Checks now, runs later; padding repeats the last row, so that it is finite and typical."""
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

    def from_disk(rows: Any) -> Any:
        return tf.ensure_shape(tf.numpy_function(slices.hu, [rows], tf.int16), shape)

    pixels = _pixels(slices, tf)
    gather, readers = (in_memory, 1) if pixels is not None else (from_disk, 2)
    gather = tf.autograph.experimental.do_not_convert(gather)
    dataset = tf.data.Dataset.from_tensor_slices(slices.read_as(order))
    dataset = dataset.map(gather, num_parallel_calls=readers, deterministic=True)
    options = tf.data.Options()
    options.threading.private_threadpool_size = readers
    options.threading.max_intra_op_parallelism = 1
    # There is one operation to run: rewriting and tuning its graph costs 40 ms a call and gains none.
    options.experimental_optimization.apply_default_optimizations = False
    options.autotune.enabled = False
    dataset = dataset.prefetch(PREFETCH).with_options(options)
    for step, hu in enumerate(dataset.as_numpy_iterator()):
        rows = order[step]
        yield Batch(slices.inputs(hu, rows), slices.truth(rows), mask[step])


def _pixels(slices: Slices, tf: Any) -> Any:
    """The held pixels as a tensor, copied once for each dataset that is held in memory."""
    if slices.held is None:
        return None
    if slices not in _tensors:
        with tf.device("CPU"):
            _tensors[slices] = tf.constant(slices.held)
    return _tensors[slices]


def _tensorflow() -> Any:
    """TensorFlow, told to keep quiet and to leave the accelerator to JAX."""
    for name, value in {"TF_CPP_MIN_LOG_LEVEL": "2", "TF_ENABLE_ONEDNN_OPTS": "0"}.items():
        os.environ.setdefault(name, value)  # it prints at start-up otherwise; we only gather
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        tf.config.set_visible_devices([], "GPU")
    return tf
