"""Exports a model's parameters to a safetensors file, which other frameworks read.

An array's name is its path in Flax's tree, such as `Dense_0/kernel`. Layouts are Flax's: a dense kernel is
[in, out], a convolution's [H, W, in, out]. The file's metadata contain `model`, `best_round` and the
checkpoint's `digest`.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
from flax import traverse_util

from fl_jax.experiment.checkpoint import Store
from fl_jax.experiment.reporter import Reporter
from fl_jax.files import atomic
from fl_jax.files.extras import extra
from fl_jax.models.pretrained import state_dict
from fl_jax.workdir import Workdir

_PARAMS = "best/params/"
"""Path of the best model's parameters in a checkpoint, see `rounds.Saved`."""


def export(workdir: Workdir, model: str, out: Path, reporter: Reporter) -> int:
    """Writes the best round's parameters, from the newest sound checkpoint.

    Args:
        workdir: of `launch.experiment` or `launch.train`.
        model: `federated`, `central` or `local_<site>`.
        out: the file, written atomically.
        reporter: gets a message for every damaged checkpoint.

    Returns:
        The number of arrays.

    Raises:
        FileNotFoundError: there is no such model.
        ValueError: `out` exists; no checkpoint is sound, or the name is not a single part of a path.
        ModuleNotFoundError: the extra `export` is not installed.
    """
    with extra("export"):
        from safetensors.numpy import save  # pyright: ignore[reportMissingImports]

    if os.path.lexists(out):
        raise ValueError(
            f"--out={out}: there is such a file already; delete it, or give another name"
        )
    if not out.parent.is_dir():
        raise FileNotFoundError(f"--out={out}: there is no folder {out.parent}; create it first")
    folder = workdir.arm(model).checkpoints
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} does not exist: choose a trained arm with --model")
    newest = Store(folder, read_only=True).read_newest(reporter)
    if newest is None:
        raise FileNotFoundError(f"{folder} is empty: train the model first")
    _, named, facts = newest
    params = {
        name.removeprefix(_PARAMS): np.ascontiguousarray(array)
        for name, array in named.items()
        if name.startswith(_PARAMS)
    }
    metadata = {"model": model, "best_round": facts["best_round"], "digest": facts["digest"]}
    atomic.write_bytes(out, save(params, {name: str(value) for name, value in metadata.items()}))
    return len(params)


def load(path: Path) -> dict[str, Any]:
    """Reads an exported file as the nested dict that Flax's `apply` takes as `params`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no safetensors file, or its names do not form a tree.
    """
    named = {tuple(name.split("/")): array for name, array in state_dict.safetensors(path).items()}
    clash = named.keys() & {name[:end] for name in named for end in range(len(name))}
    if clash:
        raise ValueError(f"{path}: the array {min(clash)} has the name of a layer of other arrays")
    return traverse_util.unflatten_dict(named)
