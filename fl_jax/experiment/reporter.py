"""`Reporter` is how an experiment tells a program what it is doing."""

from typing import Any


class Reporter:
    """Follows an experiment. This one stays silent; a program overrides what it shows.

    Methods may be called from several threads.
    """

    def message(self, text: str) -> None:
        """Takes a sentence: what is skipped, resumed, chosen, or damaged."""

    def progress(self, stage: str, done: int, total: int, unit: str) -> None:
        """`done` of `total` units of a stage such as `cohort` are finished."""

    def dataset_ready(self, summary: Any) -> None:
        """The dataset is complete; `summary` is `fl_jax.data.dataset.Summary`."""

    def arm_started(self, arm: str, *, examples: int, rounds: int) -> None:
        """An arm's training starts; it will see so many examples in so many rounds."""

    def examples_seen(self, arm: str, count: int) -> None:
        """An arm has trained on `count` more examples."""

    def round_finished(self, arm: str, record: dict[str, Any]) -> None:
        """A round is over; `record` is its line of metrics.jsonl."""


SILENT = Reporter()
