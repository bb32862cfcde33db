"""Plans the arms of an experiment, with the same number of training examples in each."""

from typing import NamedTuple

import jax
import numpy as np

from fl_jax.core.participation import participation
from fl_jax.data.partition import Partition
from fl_jax.data.slices import Slices


class Arm(NamedTuple):
    """The sites, examples and rounds of one arm.

    Attributes:
        name: `federated`, `central` or `local_<site>`.
        sites: names of its S sites; the central arm has one, `all`.
        train: training examples of each site, int[n_s]: rows of the dataset, or indices of studies.
        validation: rows that select the best round, int[n].
        participating: bool[R, S], participation of each site in each round.
        examples: int[R, S], examples per site and round, repeats included.
        balanced: whether examples are drawn by their labels, see `fl_jax.data.order`.
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
        """Examples over all rounds, repeats included."""
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
    """Plans the federated, the central and every local arm with matched budgets.

    Args:
        slices: the dataset.
        partition: patients to sites and splits.
        rounds: R, at least 1.
        epochs: passes of a participating site over its training slices per round, above 0; with 0.5 it sees a
            random half of them, and always at least one example.
        min_sites: see `core.participation`; 0: all.
        key: the run's key, which decides participation.
        local_budget: `'examples'`: a local model sees as many examples as the federated one, however
            small its site; `'epochs'`: as many passes over its slices as in the federation.
        balanced: see `Arm`; budgets stay the same.

    Returns:
        The arms by name: `federated`, `central`, `local_<site>`.

    Raises:
        ValueError: an argument is out of range, the dataset has no labels, or a site has no training or no
            validation slices.
    """
    if rounds < 1:
        raise ValueError(f"rounds={rounds}: must be at least 1")
    if not 0 < epochs < np.inf:
        raise ValueError(f"epochs={epochs}: must be above 0")
    if local_budget not in ("examples", "epochs"):
        raise ValueError(f"local_budget={local_budget!r}: must be 'examples' or 'epochs'")
    slices.require_labels()
    sites = partition.sites
    train = tuple(slices.examples(partition.rows(slices, "train", site)) for site in sites)
    validation_rows = tuple(partition.rows(slices, "validation", site) for site in sites)
    for name, parts in (("training", train), ("validation", validation_rows)):
        for site, rows in zip(sites, parts, strict=True):
            if not len(rows):
                raise ValueError(
                    f"site {site!r} has no {name} slices: leave it out, or change the partition"
                )
    fewest = min_sites or len(sites)
    present = np.stack([participation(key, r, len(sites), fewest) for r in range(rounds)])
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
        planned[name] = Arm(name, (site,), (rows,), validation_rows[index], always, budget)
    return {name: arm._replace(balanced=balanced) for name, arm in planned.items()}
