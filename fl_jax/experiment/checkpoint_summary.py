"""Summaries of a workdir's checkpoints, read without the code, config or data of the training."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from fl_jax.experiment.checkpoint import Store
from fl_jax.experiment.checkpoint_step import OtherFormatError
from fl_jax.workdir import Workdir

SOUND = "sound"
OTHER = "other format"


class StepSummary(NamedTuple):
    """One checkpoint of one arm.

    Attributes:
        arm: `federated`, `central` or `local_<site>`.
        step: rounds done.
        facts: what was saved with the arrays; empty if the step is damaged.
        arrays: of each array `path`, `dtype`, `shape`, `sha256` and `bytes`.
        state: `SOUND`, or `damaged: ` or `other format: ` and the reason.
    """

    arm: str
    step: int
    facts: dict[str, Any]
    arrays: list[dict[str, Any]]
    state: str


def summarize_checkpoints(workdir: Workdir, arm: str = "") -> Iterator[StepSummary]:
    """Reads and verifies every checkpoint of a workdir, the newest of each arm first; changes nothing.

    Args:
        workdir: of `launch.experiment` or `launch.train`.
        arm: only this one; empty for all.

    Raises:
        FileNotFoundError: there are no checkpoints; says which arms have some.
    """
    arms = {folder.name: folder for folder in workdir.arms_with_checkpoints()}
    if not arms or (arm and arm not in arms):
        raise FileNotFoundError(
            f"{workdir} has no checkpoints of {arm or 'any arm'}, but of {', '.join(arms) or 'none'}: "
            "choose one with --model, or train it with launch.experiment"
        )
    for name in [arm] if arm else arms:
        store = Store(arms[name].checkpoints, read_only=True)
        for step in store.steps():
            yield _summarize(store, name, step)


def _summarize(store: Store, arm: str, step: int) -> StepSummary:
    try:
        named, facts = store.read(step)
    except OtherFormatError as error:
        return StepSummary(arm, step, {}, [], f"{OTHER}: {error}")
    except Exception as error:  # whatever a damaged file makes tensorstore raise
        return StepSummary(arm, step, {}, [], f"damaged: {error}")
    rows = [row | {"bytes": named[row["path"]].nbytes} for row in facts["arrays"]]
    return StepSummary(arm, step, facts, rows, SOUND)
