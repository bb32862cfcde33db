"""Predictions of whole studies instead of slices; for `launch.evaluate --by_study`."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from fl_jax.data.index import read_index
from fl_jax.evaluation import predictions
from fl_jax.evaluation.patient_level import aggregate
from fl_jax.evaluation.predictions import Predictions
from fl_jax.workdir import Workdir


def summing_up(workdir: Path) -> Callable[[Predictions], Predictions]:
    """Makes what turns a model's slices into studies, each the largest of its slices.

    Raises:
        FileNotFoundError: the study's dataset is not on this disk; what it returns raises ValueError for an
            image that is not in it.
    """
    index = Workdir(workdir).find_data() / "slices" / "index.csv"
    if not index.exists():
        raise FileNotFoundError(
            f"--by_study: there is no {index}, which says what study an image is of; put the dataset that "
            f"was trained on, or a link to it, at {index.parent.parent}"
        )
    columns = read_index(index, ("image", "study"))
    study = dict(zip(columns["image"], columns["study"], strict=True))

    def whole(data: Predictions) -> Predictions:
        unknown = [name for name in data.image.tolist() if name not in study]
        if unknown:
            raise ValueError(f"--by_study: image {unknown[0]!r} is not in {index}")
        return aggregate(data, np.array([study[name] for name in data.image.tolist()]))

    return whole


def stored(workdir: Path, name: str) -> tuple[Predictions, str] | None:
    """A head's own answers for studies, which its training has left, and where; None where there are none."""
    path = workdir / "predictions" / "studies" / f"{name}.csv"
    return (predictions.read(path), str(path)) if path.exists() else None
