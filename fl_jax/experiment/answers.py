"""Participants' answers to the questionnaire in `configs/survey.csv`, for the report."""

from pathlib import Path
from typing import Any

from fl_jax.report import survey

QUESTIONS = Path(__file__).parent.parent / "configs" / "survey.csv"


def summary(path: str) -> dict[str, Any] | None:
    """Sums up a file of answers; None for the empty path. Arguments and errors as for `survey.read`."""
    if not path:
        return None
    return survey.read(Path(path).expanduser(), survey.questionnaire(QUESTIONS))
