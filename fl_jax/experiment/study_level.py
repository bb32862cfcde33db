"""Aggregates predictions of slices to predictions of DICOM studies."""

from collections.abc import Callable

import numpy as np

from fl_jax.data.index import read_index
from fl_jax.evaluation.patient_level import aggregate
from fl_jax.evaluation.predictions import Predictions
from fl_jax.workdir import Workdir


def aggregator(workdir: Workdir) -> Callable[[Predictions], Predictions]:
    """Returns a function from slices to studies, whose probability is the largest of their slices'.

    It raises ValueError for an image that is not in the dataset.

    Raises:
        FileNotFoundError: the experiment's dataset is not on this disk.
    """
    index = workdir.own_data() / "slices" / "index.csv"
    if not index.exists():
        raise FileNotFoundError(
            f"--by_study: there is no {index}, which maps images to studies; put the training dataset, "
            f"or a link to it, at {index.parent.parent}"
        )
    columns = read_index(index, ("image", "study"))
    study = dict(zip(columns["image"], columns["study"], strict=True))

    def by_study(data: Predictions) -> Predictions:
        unknown = [name for name in data.image.tolist() if name not in study]
        if unknown:
            raise ValueError(f"--by_study: image {unknown[0]!r} is not in {index}")
        return aggregate(data, np.array([study[name] for name in data.image.tolist()]))

    return by_study
