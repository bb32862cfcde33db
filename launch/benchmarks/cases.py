"""Cases of the suite `round`: a model, its sites, and the batches of each site."""

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from fl_jax.core.client import Loss
from fl_jax.core.types import LABELS, Batch
from fl_jax.data import windows
from fl_jax.data.augmentation import augment
from fl_jax.models.resnet import resnet
from fl_jax.tasks.multi_label import multi_label
from fl_jax.tasks.task import Task


class Case(NamedTuple):
    """One line of the table.

    Attributes:
        name: matched by `--cases`.
        model: makes the task, and shape and dtype of one input.
        sizes: [S] examples of each site.
        batch: B.
        several: K for contenders that take K steps a call; 1 for none.
    """

    name: str
    model: Callable[[], tuple[Task, jax.ShapeDtypeStruct]]
    sizes: Sequence[int]
    batch: int = 16
    several: int = 1


class LeNet(nn.Module):
    """LeCun et al., "Gradient-Based Learning Applied to Document Recognition", Proc. IEEE 1998."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps float32[B, H, W, C] to logits float32[B, L]."""
        for width in (6, 16):
            x = nn.relu(nn.Conv(width, (5, 5), padding="VALID")(x))
            x = nn.max_pool(x, (2, 2), (2, 2))
        x = x.reshape(len(x), -1)
        for width in (120, 84):
            x = nn.relu(nn.Dense(width)(x))
        return nn.Dense(len(LABELS))(x)


class Mlp(nn.Module):
    """One hidden layer."""

    width: int = 128

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps float32[B, ...] to logits float32[B, L]."""
        return nn.Dense(len(LABELS))(nn.relu(nn.Dense(self.width)(x.reshape(len(x), -1))))


def scans(pixels: int, adjacent: tuple[int, ...] = ()) -> tuple[Task, jax.ShapeDtypeStruct]:
    """The demo's task: int16 HU in; windows, rotation and flips in the step; (3,) for three slices."""
    example = jax.ShapeDtypeStruct((*adjacent, pixels, pixels), jnp.int16)
    job = multi_label(
        resnet(),
        jnp.zeros((1, *example.shape), example.dtype),
        prepare=windows.channels,
        augment=augment,
    )
    return job, example


def images(model: nn.Module, pixels: int = 32) -> tuple[Task, jax.ShapeDtypeStruct]:
    """A model on float32 images of three channels."""
    example = jax.ShapeDtypeStruct((pixels, pixels, 3), jnp.float32)
    return multi_label(model, jnp.zeros((1, *example.shape))), example


CASES = (
    Case("ResNet 64 px, 5 sites", lambda: scans(64), [128] * 5, several=8),
    Case("ResNet 64 px, 20 sites", lambda: scans(64), [32] * 20),
    Case("ResNet 128 px, 5 sites", lambda: scans(128), [64] * 5),
    Case("ResNet 128 px, 20 sites", lambda: scans(128), [16] * 20),
    Case("LeNet 32 px, 20 sites", lambda: images(LeNet()), [64] * 20, 32),
    Case("MLP, 5 sites", lambda: images(Mlp()), [512] * 5, 32, several=8),
    Case("MLP, 100 sites", lambda: images(Mlp()), [256] * 100, 32, several=8),
    Case("ResNet 64 px, unequal sites", lambda: scans(64), [250, 150, 75, 38, 20]),
)
OPTIMIZER = optax.adam(2e-3)


def select(flag: str, pattern: str, choices: Sequence[Any]) -> list[Any]:
    """The choices whose `name` matches the regular expression; raises ValueError if none does."""
    chosen = [choice for choice in choices if re.search(pattern, choice.name)]
    if not chosen:
        names = ", ".join(choice.name for choice in choices)
        raise ValueError(f"{flag}={pattern!r}: finds none of: {names}")
    return chosen


@partial(jax.jit, static_argnums=0, donate_argnums=1)
def optax_step(loss: Loss, state: Any, batch: Batch) -> Any:
    """One step of central training on `(params, optimizer state, key)`, as written without this library."""
    params, optimizer, key = state
    key, step_key = jax.random.split(key)
    gradient = jax.grad(loss)(params, batch, step_key)
    updates, optimizer = OPTIMIZER.update(gradient, optimizer, params)
    return optax.apply_updates(params, updates), optimizer, key


def batches(case: Case, example: jax.ShapeDtypeStruct) -> list[list[Batch]]:
    """[S][T] batches of noise in memory; a site's last batch is padded, as in the pipeline."""
    generator = np.random.default_rng(0)
    shape, by_site = (case.batch, *example.shape), []
    for size in case.sizes:
        site = []
        for left in range(size, 0, -case.batch):
            inputs = (100 * generator.standard_normal(shape, np.float32)).astype(example.dtype)
            labels = (generator.random((case.batch, len(LABELS))) < 0.3).astype(np.float32)
            mask = (np.arange(case.batch) < left).astype(np.float32)
            site.append(Batch(inputs, labels, mask))
        by_site.append(site)
    return by_site
