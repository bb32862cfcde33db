"""A partition sends every patient to one site and to one split, and never to two.

First a scheme sends patients to sites: the dataset's own (`natural()`), or, for data without sites,
one of `schemes`, each a module of that package and named in a config as a call:

| scheme | what differs between the sites |
|---|---|
| `natural()` | whatever differs between the dataset's own sites |
| `iid(sites)` | nothing but chance |
| `dirichlet(sites, alpha)` | how often each kind of bleeding is |
| `quantity(sites, alpha)` | how many patients there are |
| `pathological(sites, labels)` | which kinds of bleeding there are at all |
| `acquisition(sites, mix)` | how scanners wrote the files: bits, sign, intercept, kernel, spacing |

Then each site's patients are dealt into train, validation and test, or into folds, so that each label's
positive patients follow the same fractions, as well as their number allows; see `deal`. A site named
`holdout` is a split of its own in every scheme. Only facts about slices are read, never a picture, and
what is written is a file of one line a patient that can be read, compared, edited and shared.
"""

from fl_jax.data.partition.make import by_patient
from fl_jax.data.partition.patients import Patients, Scheme
from fl_jax.data.partition.sides import (
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
