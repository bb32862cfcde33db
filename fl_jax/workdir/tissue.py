"""Amounts of tissue in an experiment's slices, which are measured once and kept in `tissue.json`."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from fl_jax.data.slices import identity, load
from fl_jax.evaluation.tissue import Tissue, measure
from fl_jax.workdir.schema import TissueTable
from fl_jax.workdir.workdir import Workdir


def tissue_of(
    workdir: Workdir, data: Path, images: Iterable[str], *, keep: bool = True
) -> Tissue | str:
    """Reads the amounts of tissue in some slices, or measures them from the dataset's pixels.

    Args:
        workdir: of the experiment.
        data: folder of its dataset, which may be absent.
        images: names of slices.
        keep: write what was measured into the workdir.

    Returns:
        The amounts; or, if they are neither stored nor can be measured, the reason.

    Raises:
        ValueError: `tissue.json` does not hold what it should, or the dataset is damaged.
    """
    wanted, stored, built = {*images}, workdir.read_tissue(), identity(data)
    current = stored and tuple(built) in ((None, None), stored.dataset)
    if stored and current and wanted <= {*stored.image}:
        return _selected(stored, wanted)
    if built.digest is None or built.options is None or not (data / "slices").exists():
        return "the dataset is missing"
    slices = load(data)
    rows = np.flatnonzero(np.isin(slices.image, sorted(wanted)))
    if rows.size < len(wanted):
        return f"the dataset lacks {len(wanted) - rows.size} of {len(wanted)} images"
    measured = measure(slices, rows)
    if keep:
        image, soft, bright = (values.tolist() for values in measured[:3])
        source = (built.digest, dict(built.options))
        workdir.write_tissue(TissueTable(source, measured.unit, image, soft, bright))
    return measured


def _selected(table: TissueTable, wanted: set[str]) -> Tissue:
    rows = [row for row, image in enumerate(table.image) if image in wanted]
    image, soft, bright = (
        np.array(values)[rows] for values in (table.image, table.soft, table.bright)
    )
    return Tissue(image.astype(str), soft.astype(float), bright.astype(float), table.unit)
