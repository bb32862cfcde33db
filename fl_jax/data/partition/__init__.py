"""Partitions assign each patient to exactly one site and one split.

A scheme first assigns patients to sites: `natural()` keeps the dataset's sites; the others, one module each
in `schemes`, create sites, and configs name them as a call:

| scheme | what differs between sites |
|---|---|
| `natural()` | whatever differs between the dataset's sites |
| `iid(sites)` | nothing but chance |
| `dirichlet(sites, alpha)` | the rate of each kind of bleeding |
| `quantity(sites, alpha)` | the number of patients |
| `pathological(sites, labels)` | which kinds of bleeding occur at all |
| `acquisition(sites, mix)` | how scanners wrote the files: bits, sign, intercept, kernel, spacing |

Each site's patients are then stratified by label into train, validation and test, or into folds; see
`stratify`. The site `holdout` is its own split in every scheme. Partitions read metadata only, never pixels,
and are saved as a CSV file of one row per patient that can be reviewed, edited and shared.
"""

from fl_jax.data.partition.assign import by_patient
from fl_jax.data.partition.patients import Patients, Scheme
from fl_jax.data.partition.table import (
    HEADER,
    SPLITS,
    HasPatients,
    Partition,
    check_disjoint,
    load,
    save,
)

__all__ = [
    "HEADER",
    "SPLITS",
    "HasPatients",
    "Partition",
    "Patients",
    "Scheme",
    "by_patient",
    "check_disjoint",
    "load",
    "save",
]
