"""The arrays of a checkpoint as one file `arrays.npz`, by path: a handler of Orbax, for `fl_jax.checkpoint`.

Orbax's own handlers of arrays go through tensorstore, which keeps every piece of JSON that it turns into
Python objects (0.1.86, and as far back as 0.1.76; `tensorstore.Spec.to_json` in a loop shows it): some 25 to
30 KiB a save of 13 arrays, without end in a run that saves after every round.
"""

import dataclasses
from typing import Any

import numpy as np
import orbax.checkpoint as ocp

FILE = "arrays.npz"


class Handler(ocp.CheckpointHandler):
    """Writes and reads `FILE` in a folder that Orbax makes, renames when all is in it, and deletes."""

    def save(self, directory: Any, args: "Save") -> None:
        """Writes the arrays, uncompressed; with a checksum of each, which `restore` verifies."""
        with open(directory / FILE, "wb") as file:
            np.savez(file, allow_pickle=False, **{_PREFIX + k: v for k, v in args.arrays.items()})

    def restore(self, directory: Any, args: "Restore") -> dict[str, np.ndarray]:
        """Reads the arrays; those of a dtype that NumPy's format has no name for come as raw bytes.

        Raises:
            Exception: whatever a damaged file makes NumPy raise.
        """
        with np.load(directory / FILE, allow_pickle=False) as file:
            return {name.removeprefix(_PREFIX): file[name] for name in file.files}


@ocp.args.register_with_handler(Handler, for_save=True)
@dataclasses.dataclass
class Save(ocp.args.CheckpointArgs):
    """What to save: arrays by path, `server/params/Dense_0/kernel`."""

    arrays: dict[str, np.ndarray]


@ocp.args.register_with_handler(Handler, for_restore=True)
@dataclasses.dataclass
class Restore(ocp.args.CheckpointArgs):
    """Asks for the arrays back."""


_PREFIX = "state/"  # no path is then the name of an argument of `numpy.savez`
