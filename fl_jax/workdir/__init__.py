"""An experiment's folder: every path, lock, reader and writer below it.

| module | |
|---|---|
| `workdir` | `Workdir`, `ArmFolder`, `EvaluationFolder`, `SeedsFolder`: paths, readers, writers |
| `schema` | the JSON files as structs |
| `records` | everything a report needs, read at once |
| `tissue` | amounts of tissue in the evaluated slices, measured once |
"""

from fl_jax.workdir.records import Records, read_records
from fl_jax.workdir.tissue import tissue_of
from fl_jax.workdir.workdir import PERSONAL, ArmFolder, EvaluationFolder, SeedsFolder, Workdir

__all__ = [
    "PERSONAL",
    "ArmFolder",
    "EvaluationFolder",
    "Records",
    "SeedsFolder",
    "Workdir",
    "read_records",
    "tissue_of",
]
