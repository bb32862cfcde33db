"""One federated round, built in several layouts from the same client functions; they give the same numbers.

- `sequential`: site after site, one jitted step a batch, donated buffers. Costs what central training
  costs, whatever the sizes of the sites; for CNNs on full-size slices. Chained algorithms run here only.
- `vmapped`: all sites in lock-step under `jax.vmap`. For small models, many sites, and accelerators that
  one site's step leaves idle. `whole` is the same as one pure function of stacked batches.
- `mesh`: as `sequential`, with the sites over several devices.

`choose` names the one that should be fastest for a model and a backend, `make` makes one by its name.

Guarantees: changing an absent site's data changes nothing. Aggregation goes in site order. Nothing
recompiles when participation changes.

| a site that | enters | keeps its new state | metrics |
|---|---|---|---|
| is absent, or has no example | no | no | NaN, `accepted` False |
| raises `Dropout` mid-round | no | no | NaN, `accepted` False, `dropped` True |
| sends NaN or infinity | no | no | its own, `accepted` False, `refused` 2 |
| sends another structure, shape or dtype | no | no | its own, `accepted` False, `refused` 1 |
| sends what it made in an earlier round | no | no | its own, `accepted` False, `refused` 3 |
| sends its message twice | once | yes | its own, `copies` 2 |
| ends after fewer steps | yes, with its steps | yes | its own, `accepted` True |

Besides the algorithm's own, the metrics are `weight`, `bytes` (what the site sends), `accepted`, `dropped`,
`refused` (a place in `REFUSED`) and `copies`.
"""

from fl_jax.core.layouts.choose import Choice, choose, make
from fl_jax.core.layouts.common import REFUSED, Batches, Dropout, Round, State, init
from fl_jax.core.layouts.mesh import mesh
from fl_jax.core.layouts.sequential import sequential
from fl_jax.core.layouts.vmapped import vmapped, whole

__all__ = [
    "REFUSED",
    "Batches",
    "Choice",
    "Dropout",
    "Round",
    "State",
    "choose",
    "init",
    "make",
    "mesh",
    "sequential",
    "vmapped",
    "whole",
]
