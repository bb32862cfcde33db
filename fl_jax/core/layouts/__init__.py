"""Layouts: ways to run one federated round on devices. All give the same numbers.

| layout | runs | use it for |
|---|---|---|
| `sequential` | site after site, one jitted step per batch | large CNNs, unequal sites, chained algorithms |
| `vmapped` | all sites in lock-step under `jax.vmap` | small models, many sites, idle accelerators |
| `mesh` | as `sequential`, with sites over several devices | several devices |

`whole_round` is `vmapped` as one pure function of stacked batches, to jit, scan, vmap or differentiate.
`choose` picks the layout that should be fastest for a model and a backend; `make` makes one by name.

    state = layouts.init(algorithm, aggregator, params, sites, key)
    run = layouts.sequential(algorithm, aggregator, sizes=[12, 6, 2])       # examples of each site
    state, metrics = run(state, batches, participating)     # batches(site) -> iterable of Batch; bool[S]

Guarantees: an absent site's data has no effect. Messages are aggregated in site order. Changing participation
never recompiles. Layouts agree to float32 rounding, and a resumed run repeats the same bits.

| a site that | enters the aggregate | keeps its new state | metrics |
|---|---|---|---|
| is absent, or has no example | no | no | NaN, `accepted` False |
| raises `Dropout` mid-round | no | no | NaN, `accepted` False, `dropped` True |
| sends NaN or infinity | no | no | its own, `accepted` False, `refused` 2 |
| stops after fewer steps | yes, with these steps | yes | its own, `accepted` True |

Every layout adds to the algorithm's metrics: `weight`, `bytes` (sent by the site), `accepted`, `dropped`, and
`refused` (an index into `core.receive.REFUSED`).

Every layout takes `sizes` and `weighting`, which say what a site counts: see `fl_jax.core.weighting`. Without
`sizes` all sites count as equally large, which matters to algorithms with control variates or buffers, when
sites are absent.

With `Algorithm.first`, a round takes every site's batches twice; a site that fails in the first exchange is
absent from the second, and `bytes` are of both.

Sharp edges: `vmapped` and `whole_round` compute convolutions of several sites as grouped convolutions, 2 to 7
times slower on CPU. `mesh` uses the devices of this process only. `whole_round` stacks all batches of a round
in memory.
"""

from fl_jax.core.layouts.choose import Choice, choose, make
from fl_jax.core.layouts.common import Batches, Dropout, Round, State, init
from fl_jax.core.layouts.mesh import mesh
from fl_jax.core.layouts.sequential import sequential
from fl_jax.core.layouts.vmapped import vmapped, whole_round

__all__ = [
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
    "whole_round",
]
