"""Rebuilds an experiment's report from its files: no model, no accelerator, no network.

    predictions, metrics, manifest, partition, dataset summary  ->  results.json (every number)
    results.json  ->  the page, tables, model card and checklists, and figures for a paper if asked for

Only the contact sheet's pictures come from the dataset; without it the page says so. The slices' amounts of
tissue are measured in the dataset once, and kept in the workdir.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from fl_jax.evaluation.predictions import Predictions
from fl_jax.files import folders
from fl_jax.files.atomic import delete, write_bytes, write_text
from fl_jax.files.jsonable import jsonable
from fl_jax.files.regular import read_bytes
from fl_jax.report import checklists, journal, page, results
from fl_jax.report.cases import Thumbnails
from fl_jax.report.pictures import case_pictures
from fl_jax.workdir import Workdir, read_records, tissue_of

PNG = b"\x89PNG\r\n\x1a\n"
MAX_RESAMPLES = 1_000_000
"""More would exhaust the memory."""


def build(
    workdir: Workdir,
    *,
    resamples: int | None = None,
    seed: int | None = None,
    level: float = 0.95,
    margin: float | None = None,
    thumbnails: Thumbnails | None = None,
    survey: Mapping[str, Any] | None = None,
    paper_figures: bool = False,
) -> dict[str, Any]:
    """Computes every statistic of an experiment and writes its report.

    Guarantees:
        The same files and arguments give the same bytes. Each file is replaced atomically. Figures for a
        paper that an earlier report left are of these results afterwards, or removed.

    Args:
        workdir: of the experiment; it needs predictions of at least one model.
        resamples: bootstrap resamples of patients; None takes the experiment's, or 1000.
        seed: of the resampling; None takes the experiment's, or 0.
        level: coverage of the intervals, in (0, 1).
        margin: non-inferiority margin in AUROC, > 0; None takes the experiment's, or 0.02.
        thumbnails: reads pictures of slices; None reads the dataset, if it exists.
        survey: result of `survey.summarize`; None leaves that section out.
        paper_figures: also write `figures/`, PDF and SVG, which takes longer than all else. A workdir that
            has the folder gets them anyway: older ones would not fit the page.

    Returns:
        The results as `results.json` has them: plain JSON, None where undefined.

    Raises:
        FileNotFoundError: there are no predictions.
        ValueError: a file is malformed, two models were evaluated on different images, or margin or resamples
            are out of range.
    """
    records = read_records(workdir)
    workdir.claim()  # before the work
    evaluated = {image for data in records.predictions.values() for image in _evaluated(data)}
    records = records._replace(tissue=tissue_of(workdir, records.data, evaluated))
    config = records.config
    resamples = int(config.get("resamples", 1000)) if resamples is None else resamples
    seed = int(config.get("seed", 0)) if seed is None else seed
    margin = float(config.get("margin", results.MARGIN)) if margin is None else margin
    if not 1 <= resamples <= MAX_RESAMPLES:
        raise ValueError(f"resamples={resamples}: use 1 to {MAX_RESAMPLES}")
    # BLAS on several threads waits longer for them than the small fits of a report take.
    with threadpool_limits(1, "blas"):
        computed = results.compute(
            records, resamples=resamples, seed=seed, level=level, margin=margin
        )
    computed |= {"survey": survey}
    # Render results.json as read back: the page cannot show any other number.
    text = _json(jsonable(computed))
    content = json.loads(text)
    pictures = _pictures(records.data, content, thumbnails)
    with workdir.lock("report"):
        write_text(workdir.results, text)
        write_text(workdir.cross_site, _json(content["cross_site"]))
        write_text(workdir.report, page.render(content, pictures, _panels(workdir, content)))
        write_text(workdir.model_card, checklists.model_card(content))
        write_text(workdir.checklist, checklists.reporting_checklist(content))
        if paper_figures or workdir.figures.exists():
            _replace_all(workdir.figures, journal.figure_files(content), journal.FIGURE_FILES)
        _replace_all(workdir.tables, journal.table_files(content), journal.OPTIONAL_TABLES)
    return content


def _evaluated(data: Predictions) -> list[str]:
    return data.image[data.split != "validation"].tolist()


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, allow_nan=False) + "\n"


def _replace_all(folder: Path, files: Mapping[str, bytes], removable: Sequence[str]) -> None:
    """Writes files into a folder and removes those that an earlier report may have left."""
    folders.make(folder)
    for name, content in files.items():
        write_bytes(folder / name, content)
    for name in set(removable) - set(files):
        delete(folder / name)


def _pictures(
    data: Path, content: Mapping[str, Any], thumbnails: Thumbnails | None
) -> dict[str, dict[str, bytes | None]] | None:
    if thumbnails is None:
        if not (data / "slices").exists():
            return None
        thumbnails = dataset_thumbnails(data)
    hu = thumbnails([case["image"] for case in content["cases"]])
    return {name: case_pictures(slices) for name, slices in hu.items()}


def _panels(workdir: Workdir, content: Mapping[str, Any]) -> dict[str, bytes]:
    """The saliency maps of `launch.explain`, if they belong to these predictions."""
    if not content["saliency"] or not content["saliency"]["current"]:
        return {}
    panels = {}
    for name in content["saliency"]["subtypes"]:
        path = workdir.saliency_panel(name)
        if path.exists():
            panels[name] = read_bytes(path)
            if not panels[name].startswith(PNG):
                raise ValueError(f"{path}: not a PNG; run launch.explain again")
    return panels


def dataset_thumbnails(data_dir: str | os.PathLike[str]) -> Thumbnails:
    """Reads slices of a prepared dataset with their neighbours in the series, by image name.

    Args:
        data_dir: folder of the dataset.

    Returns:
        See `cases.Thumbnails`. Calling it raises FileNotFoundError without a complete dataset.
    """

    def read(images: Sequence[str]) -> dict[str, NDArray[np.int16]]:
        from fl_jax.data.adjacent import neighbours
        from fl_jax.data.slices import load  # imports TFDS

        slices = load(os.fspath(data_dir))
        row = {str(name): number for number, name in enumerate(slices.image)}
        known = [name for name in images if name in row]
        rows = neighbours(slices)[[row[name] for name in known]] if known else []
        return {
            name: slices.hu(np.asarray(series)) for name, series in zip(known, rows, strict=True)
        }

    return read
