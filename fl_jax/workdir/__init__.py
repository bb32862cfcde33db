"""An experiment's folder: every path, lock, reader and writer below it.

| module | |
|---|---|
| `workdir` | `Workdir`, `ArmFolder`, `EvaluationFolder`: paths, readers, writers |
| `schema` | the JSON files as structs |
| `records` | everything a report needs, read at once |
| `locks` | file locks between processes |
"""

from fl_jax.workdir.records import Records, read_records
from fl_jax.workdir.workdir import PERSONAL, ArmFolder, EvaluationFolder, Workdir

__all__ = ["PERSONAL", "ArmFolder", "EvaluationFolder", "Records", "Workdir", "read_records"]
