"""The report of a study is rebuilt from what lies on disk: no model, no device, no network.

    predictions/*.csv, models/*/{metrics.jsonl,done.json}, manifest.json, data/summary.json, partition.csv
        ->  results.json (every number), cross_site.json; from results.json alone report.html,
            figures/*.{pdf,svg}, tables/*.{csv,tex}

Only the pictures of the contact sheet are read from the dataset; where it is absent the page says so.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fl_jax.files.atomic import atomic_open
from fl_jax.files.jsonable import jsonable
from fl_jax.files.links import check_link
from fl_jax.report import cases, export, page, results
from fl_jax.report.cases import Thumbnails
from fl_jax.workdir import Workdir, read_records

PNG = b"\x89PNG\r\n\x1a\n"
MOST = 1_000_000
"""Resamples; more take all memory."""


def build(
    workdir: str | os.PathLike[str],
    *,
    resamples: int | None = None,
    seed: int | None = None,
    level: float = 0.95,
    margin: float | None = None,
    thumbnails: Thumbnails | None = None,
    survey: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Computes every statistic of a study and writes its page.

    Guarantees:
        The same files and arguments give the same bytes. A file is replaced only by a whole one. Figures of
        an earlier run that these results do not have are removed.

    Args:
        workdir: folder of `launch.experiment`, with predictions/<model>.csv at least.
        resamples: bootstrap resamples of patients; None takes the study's own, of the manifest's config,
            or 1000 without one.
        seed: of the resampling; None takes the study's own, or 0.
        level: coverage of the intervals, in (0, 1).
        margin: of AUROC, > 0, for non-inferiority to pooled training; None takes the study's own, or 0.02.
        thumbnails: see `cases.Thumbnails`; the dataset under data/ without it.
        survey: what participants answered, of `survey.read`; the page is without it where there is none.

    Returns:
        The results as `results.json` has them: plain JSON, None where undefined.

    Raises:
        FileNotFoundError: there are no predictions.
        ValueError: a file is not what it should be, two models were judged on different images, margin is
            not above 0, or resamples are none or too many.
    """
    root = Path(workdir)
    records = read_records(Workdir(root))
    config = records.config
    resamples = int(config.get("resamples", 1000)) if resamples is None else resamples
    seed = int(config.get("seed", 0)) if seed is None else seed
    margin = float(config.get("margin", results.MARGIN)) if margin is None else margin
    if not 1 <= resamples <= MOST:
        raise ValueError(f"resamples={resamples}: of the study or as given; take 1 to {MOST}")
    found = jsonable(
        results.compute(records, resamples=resamples, seed=seed, level=level, margin=margin)
        | {"survey": survey}
    )
    # The page is drawn from what a reader of results.json gets, so that it can hold no other number.
    text = json.dumps(found, indent=1, allow_nan=False)
    found = json.loads(text)
    _replace(root / "results.json", text + "\n")
    matrix = json.dumps(found["cross_site"], indent=1, allow_nan=False)
    _replace(root / "cross_site.json", matrix + "\n")
    _replace(
        root / "report.html",
        page.render(found, _pictures(records.data, found, thumbnails), _panels(root, found)),
    )
    exported = export.render(found)
    for name, content in exported.items():
        (root / name).parent.mkdir(exist_ok=True)
        _replace(root / name, content)
    for name in export.stale(exported):
        (root / name).unlink(missing_ok=True)
    return found


def _pictures(
    data: Path, found: dict[str, Any], thumbnails: Thumbnails | None
) -> dict[str, dict[str, bytes | None]] | None:
    if thumbnails is None:
        if not (data / "slices").exists():
            return None
        thumbnails = dataset_thumbnails(data)
    shown = thumbnails([case["image"] for case in found["cases"]])
    return {name: cases.sheet(hu) for name, hu in shown.items()}


def _panels(root: Path, found: dict[str, Any]) -> dict[str, bytes]:
    """The maps that `launch.explain` drew, where they are of this study's predictions."""
    if not found["saliency"] or not found["saliency"]["current"]:
        return {}
    folder, panels = root / "saliency", {}
    for name in found["saliency"]["subtypes"]:
        path = folder / f"{name}.png"
        if path.exists():
            check_link(str(path), folder)  # any file of the machine would go into the page
            panels[name] = path.read_bytes()
            if not panels[name].startswith(PNG):
                raise ValueError(f"{path}: is no PNG; run launch.explain again")
    return panels


def dataset_thumbnails(data_dir: str | os.PathLike[str]) -> Thumbnails:
    """Reads slices of a prepared dataset, and their neighbours in the series, by image name.

    Args:
        data_dir: folder of `builder.prepare`.

    Returns:
        See `cases.Thumbnails`.

    Raises:
        FileNotFoundError: when called: there is no complete dataset.
    """

    def read(images: Any) -> dict[str, NDArray[np.int16]]:
        from fl_jax.data.adjacent import neighbours
        from fl_jax.data.slices import load  # TFDS, needed for pictures only

        slices = load(os.fspath(data_dir))
        row = {str(name): number for number, name in enumerate(slices.image)}
        known = [name for name in images if name in row]
        rows = neighbours(slices)[[row[name] for name in known]] if known else []
        return {
            name: slices.hu(np.asarray(around)) for name, around in zip(known, rows, strict=True)
        }

    return read


def _replace(path: Path, content: str | bytes) -> None:
    with atomic_open(path, "wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
