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
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from fl_jax.core.types import Batch
from fl_jax.data.slices import Slices
from fl_jax.files.extras import extra

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
    return _epochs(n, examples, _generator(n, examples, seed, round, site))


def _generator(n: int, examples: int, seed: int, round: int, site: str) -> np.random.Generator:
    if n < 1:
        raise ValueError(f"n is {n}: site {site!r} has no examples to train on")
    if examples < 0 or seed < 0 or round < 0:
        raise ValueError(f"examples {examples}, seed {seed}, round {round}: none may be negative")
    name = int.from_bytes(hashlib.sha256(site.encode()).digest()[:8], "big")
    return np.random.default_rng([seed, round, name])


def _epochs(n: int, examples: int, rng: np.random.Generator) -> np.ndarray:
    epochs = [rng.permutation(n) for _ in range(-(-examples // n))]
    return np.concatenate(epochs)[:examples] if epochs else np.zeros(0, np.int64)


def balanced_order(
    labels: np.ndarray, examples: int, seed: int, round: int, site: str
) -> np.ndarray:
    """An order in which every second example is without a finding, and no finding is rare.

    Those with a finding take turns by subtype: each that the site has, and `any` where it is all that is
    known. An example with several subtypes may come for each.

    Args:
        labels: {0, 1}[n, L] of the site's examples, `any` first.
        examples: how many to yield.
        seed: see `example_order`.
        round: see `example_order`.
        site: see `example_order`.

    Returns:
        int64[examples] in [0, n). In a round no example of a class is seen k + 2 times for it before all of
        the class were seen k + 1 times. A site that has but one kind, with or without, yields that.

    Raises:
        ValueError: see `example_order`.
    """
    rng = _generator(len(labels), examples, seed, round, site)
    found = labels.astype(bool)
    bare = ~found[:, 1:].any(1)
    members = [~found.any(1), bare & found[:, 0], *found[:, 1:].T]
    none, *kinds = [np.flatnonzero(rows) for rows in members]
    kinds = [rows for rows in kinds if len(rows)]
    halves = [half for half in ([none], kinds) if half and len(half[0])]
    order = np.empty(examples, np.int64)
    for rows, at in _in_turn(halves, np.arange(examples), rng):
        for own, places in _in_turn(rows, at, rng):
            order[places] = own[_epochs(len(own), len(places), rng)]
    return order


def _in_turn(
    choices: Sequence[Any], places: np.ndarray, rng: np.random.Generator
) -> Iterator[tuple[Any, np.ndarray]]:
    """Deals places to choices, one each in every turn, in a random order of each turn."""
    turns = _epochs(len(choices), len(places), rng)
    for number, choice in enumerate(choices):
        yield choice, places[turns == number]


def train_batches(
    slices: Slices,
    rows: np.ndarray,
    *,
    batch_size: int,
    examples: int,
    seed: int,
    round: int,
    site: str,
    balanced: bool = False,
) -> Iterator[Batch]:
    """One round's batches of one site, in the order of `example_order`, or of `balanced_order`.

    Args:
        slices: the dataset, on disk or in memory.
        rows: int[n], the site's training examples: slices, or studies where the dataset is `Studies`.
        batch_size: B; every batch has it.
        examples: how many examples to yield in all; the last batch is padded with mask 0.
        seed: the run's seed.
        round: the round's number, from 0.
        site: the site's name.
        balanced: which order.

    Returns:
        An iterator over ceil(examples / B) batches of NumPy arrays: int16[B, H, W] HU,
        or int16[B, 3, H, W] where the dataset says which slices are adjacent, float32[B, L],
        float32[B]; for studies see `types.Study` and `Studies.truth`.

    Raises:
        ValueError: batch_size < 1, or `example_order` objects.
    """
    if balanced:
        order = balanced_order(slices.labels[rows], examples, seed, round, site)
    else:
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
    with extra("ct"):
        import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        tf.config.set_visible_devices([], "GPU")
    return tf
