"""What an arm's training scans look like, measured once and kept in the arm's folder."""

import math

import numpy as np

from fl_jax.data import domain
from fl_jax.data import partition as partitions
from fl_jax.data import slices as datasets
from fl_jax.experiment.reporter import Reporter
from fl_jax.experiment.restore import Trained
from fl_jax.workdir import Workdir
from fl_jax.workdir.schema import TrainingDomain

MOST = 150
"""Studies measured, which takes about 4 s."""
PERCENTILES = (1, 99)


def read(workdir: Workdir, model: Trained, reporter: Reporter) -> TrainingDomain | None:
    """Reads the ranges of the training scans, or measures and keeps them.

    Returns:
        None if they are not known and the training dataset is not on this disk.
    """
    folder = workdir.arm(model.name)
    kept = folder.read_domain()
    partition = model.inputs["partition_digest"]
    if kept is not None and (kept.dataset, kept.partition) == (model.dataset, partition):
        return kept
    data_dir = workdir.find_data()
    try:
        if datasets.identity(data_dir).digest != model.dataset:
            return None
    except ValueError as error:  # of another version: the scans can still be predicted
        reporter.message(f"the training scans' ranges are unknown: {error}")
        return None
    slices = datasets.load(data_dir)
    divided = partitions.load(workdir.partition, slices, same_sites=False)
    trained_on = np.zeros(len(slices), bool)
    trained_on[divided.rows(slices, "train")] = True
    if model.name.startswith("local_"):
        trained_on &= divided.sites_of(slices) == model.name.removeprefix("local_")
    studies = domain.studies(slices, trained_on)
    some = np.linspace(0, len(studies) - 1, min(len(studies), MOST)).round().astype(int)
    measured = domain.measure(
        slices, domain.read_extent(data_dir, slices), [studies[at] for at in some]
    )
    result = TrainingDomain(
        dataset=model.dataset,
        partition=partition,
        studies=len(some),
        of=len(studies),
        ranges=_ranges(np.array([*measured]).reshape(-1, len(domain.Domain._fields))),
    )
    try:
        folder.write_domain(result)
    except OSError as error:
        reporter.message(f"the training scans' ranges are not kept: {error}")
    return result


def _ranges(measured: np.ndarray) -> dict[str, tuple[float, float] | None]:
    ranges: dict[str, tuple[float, float] | None] = {}
    for name, column in zip(domain.Domain._fields, measured.T, strict=True):
        known = column[np.isfinite(column)]
        low, high = np.percentile(known, PERCENTILES) if known.size else (math.nan, math.nan)
        ranges[name] = (float(low), float(high)) if known.size else None
    return ranges
