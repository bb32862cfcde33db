"""The study's arms: who trains on what, and how many examples; made so that every arm has the same budget."""

from typing import NamedTuple

import jax
import numpy as np

from fl_jax.core.participation import participation
from fl_jax.data.partition import Partition
from fl_jax.data.slices import Slices


class Arm(NamedTuple):
    """One training of the study.

    Attributes:
        name: `federated`, `central` or `local_<site>`.
        sites: the names of its S sites; central training has one, `all`.
        train: each site's training examples in the dataset, int[n_s]: rows, or numbers of studies.
        validation: the rows that choose its checkpoint: of its own sites, and no others.
        participating: bool[R, S], who takes part in each round.
        examples: int[R, S], examples that each site sees in each round, repeats included.
        balanced: whether its sites draw them by their labels, see `pipeline.balanced_order`.
    """

    name: str
    sites: tuple[str, ...]
    train: tuple[np.ndarray, ...]
    validation: np.ndarray
    participating: np.ndarray
    examples: np.ndarray
    balanced: bool = False

    @property
    def budget(self) -> int:
        """Examples seen over all rounds, repeats included."""
        return int(self.examples[self.participating].sum())


def plan_arms(
    slices: Slices,
    partition: Partition,
    *,
    rounds: int,
    epochs: float,
    min_sites: int,
    key: jax.Array,
    local_budget: str = "examples",
    balanced: bool = False,
) -> dict[str, Arm]:
    """Plans the federated, the central and each local training with matched budgets.

    Args:
        slices: the dataset.
        partition: patients to sites and splits.
        rounds: R, at least 1.
        epochs: passes over its own training slices that a participating site makes in a round, over 0; with
            0.5 it sees a random half of them, with little at least one.
        min_sites: see `core.participation`.
        key: decides who takes part.
        local_budget: `'examples'`: a local model sees as many examples as the federated one, however
            small its hospital; `'epochs'`: as many passes over its own slices as in the federation.
        balanced: of every arm, which leaves their budgets as they are.

    Returns:
        The arms by name: `federated`, `central`, `local_<site>`.

    Raises:
        ValueError: for an argument out of range, a dataset without labels, or a site without training or
            validation slices.
    """
    if rounds < 1:
        raise ValueError(f"rounds={rounds}: must be at least 1")
    if not 0 < epochs < np.inf:
        raise ValueError(f"epochs={epochs}: must be over 0")
    if local_budget not in ("examples", "epochs"):
        raise ValueError(f"local_budget={local_budget!r}: must be 'examples' or 'epochs'")
    slices.require_labels()
    sites = partition.sites
    train = tuple(slices.examples(partition.rows(slices, "train", site)) for site in sites)
    own = tuple(partition.rows(slices, "validation", site) for site in sites)
    for name, parts in (("training", train), ("validation", own)):
        for site, rows in zip(sites, parts, strict=True):
            if not len(rows):
                raise ValueError(
                    f"site {site!r} has no {name} slices: leave it out or re-partition"
                )
    present = np.stack([participation(key, r, len(sites), min_sites) for r in range(rounds)])
    examples = np.broadcast_to([max(1, round(epochs * len(rows))) for rows in train], present.shape)
    total = np.where(present, examples, 0).sum(1, keepdims=True)
    always = np.ones((rounds, 1), bool)
    validation = partition.rows(slices, "validation")
    planned = {
        "federated": Arm("federated", sites, train, validation, present, examples),
        "central": Arm("central", ("all",), (np.concatenate(train),), validation, always, total),
    }
    for index, (site, rows) in enumerate(zip(sites, train, strict=True)):
        budget = total if local_budget == "examples" else examples[:, index : index + 1]
        name = f"local_{site}"
        planned[name] = Arm(name, (site,), (rows,), own[index], always, budget)
    return {name: arm._replace(balanced=balanced) for name, arm in planned.items()}
