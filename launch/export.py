"""A model's parameters as a safetensors file, which other frameworks read.

    python -m launch.export --workdir=DIR --out=FILE.safetensors [--model=federated]

The best round's parameters by validation, from the newest sound checkpoint. An array's name is its path in
Flax's tree, as in `Dense_0/kernel`; layouts are Flax's, a dense kernel is [in, out] and a convolution's
[H, W, in, out]. The file's metadata hold `model`, `best_round` and the checkpoint's `digest`. Needs the extra
`export`.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from absl import app, flags, logging
from flax import traverse_util

from fl_jax.experiment.checkpoint import NewerFormatError, Store
from fl_jax.files import atomic
from fl_jax.files.extras import extra
from fl_jax.models.pretrained import state_dict
from fl_jax.workdir.locks import check_name
from launch.cli import progress

FLAGS = flags.FLAGS
_PARAMS = "1/params/"
"""Where a checkpoint has the best model's parameters, see `fl_jax.experiment.train.model`."""


def export(workdir: Path, model: str, out: Path, *, complain: Callable[[str], None]) -> int:
    """Writes the file, whole or not at all.

    Args:
        workdir: folder of `launch.experiment` or `launch.train`.
        model: `federated`, `central` or `local_<site>`.
        out: the file.
        complain: called with a sentence for every damaged checkpoint.

    Returns:
        How many arrays were written.

    Raises:
        FileNotFoundError: there is no such model.
        ValueError: the name is a path, or none of its checkpoints can be read.
    """
    with extra("export"):
        from safetensors.numpy import save  # pyright: ignore[reportMissingImports]

    check_name(model)
    folder = workdir / "models" / model / "checkpoints"
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not there: choose a model with --model")
    store = Store(folder, read_only=True)
    for step in store.steps():
        try:
            named, facts = store.read(step)
        except NewerFormatError:
            raise
        except Exception as error:  # whatever a damaged file makes Orbax raise
            complain(f"checkpoint {step} in {folder} is damaged: {error}")
            continue
        params = {
            name.removeprefix(_PARAMS): np.ascontiguousarray(array)
            for name, array in named.items()
            if name.startswith(_PARAMS)
        }
        facts = {"model": model, "best_round": facts["best_round"], "digest": facts["digest"]}
        data = save(params, {name: str(value) for name, value in facts.items()})
        atomic.write_bytes(out, data)
        store.close()
        return len(params)
    raise ValueError(f"{folder}: none of the checkpoints {store.steps()} can be read")


def load(path: Path) -> dict[str, Any]:
    """Reads an exported file back as the nested dict that Flax's `apply` takes as `params`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no such file.
    """
    named = {tuple(name.split("/")): array for name, array in state_dict.safetensors(path).items()}
    clash = named.keys() & {name[:end] for name in named for end in range(len(name))}
    if clash:
        raise ValueError(f"{path}: the array {min(clash)} has the name of a layer of other arrays")
    return traverse_util.unflatten_dict(named)


def main(argv: list[str]) -> None:
    """Parses flags and calls `export`."""
    if len(argv) > 1:
        raise app.UsageError(f"unknown arguments {argv[1:]}: flags begin with --")
    logging.set_verbosity(logging.FATAL)  # Orbax reports each damaged file in its own way
    out = Path(FLAGS.out).expanduser()
    with progress.readable_errors():
        try:
            say = lambda sentence: print(sentence, file=sys.stderr)  # noqa: E731
            count = export(Path(FLAGS.workdir).expanduser(), FLAGS.model, out, complain=say)
        except ImportError as error:
            raise ValueError(f"{error}: pip install -e '.[export]'") from error
    print(f"{out}: {count} arrays")


if __name__ == "__main__":
    flags.DEFINE_string("workdir", None, "Folder of launch.experiment or launch.train.")
    flags.DEFINE_string("out", None, "The file to write.")
    flags.DEFINE_string("model", "federated", "Which model.")
    flags.mark_flags_as_required(["workdir", "out"])
    app.run(main)
