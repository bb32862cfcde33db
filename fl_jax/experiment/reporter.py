"""`Reporter`: callbacks by which an experiment reports progress to a program."""

from typing import Any


class Reporter:
    """Follows an experiment. This one is silent; programs override what they show.

    Methods may be called from several threads.
    """

    def waiting(self) -> None:
        """Called now and then while other processes work."""

    def message(self, text: str) -> None:
        """A sentence about what is skipped, resumed, chosen or damaged."""

    def progress(self, stage: str, done: int, total: int, unit: str) -> None:
        """`done` of `total` units of a stage such as `cohort` are finished."""

    def dataset_ready(self, summary: Any) -> None:
        """The dataset is complete; `summary` is `fl_jax.data.dataset.Summary`."""

    def arm_planned(self, arm: str, *, examples: int, rounds: int) -> None:
        """An arm will be trained, with the numbers of examples and rounds that it will see."""

    def arm_started(self, arm: str, *, examples: int, rounds: int) -> None:
        """An arm's training starts, with the numbers of examples and rounds that it will see."""

    def examples_seen(self, arm: str, count: int) -> None:
        """An arm has trained on `count` more examples."""

    def round_finished(self, arm: str, record: dict[str, Any]) -> None:
        """A round is over; `record` is its line of metrics.jsonl."""


SILENT = Reporter()
