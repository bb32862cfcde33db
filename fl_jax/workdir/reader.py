"""What a study left on disk, read and checked; nothing here needs a model, a dataset or a device.

| file | where it is absent |
|---|---|
| predictions/<model>.csv | an error: there is nothing to report |
| manifest.json, partition.csv, the dataset's summary.json and index.csv | the page says so |
| models/<model>/metrics.jsonl, done.json | the page says so |
| saliency.json | the page is without that section |
"""

import json
import math
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from fl_jax.data import partition
from fl_jax.data.index import read_summary
from fl_jax.evaluation.predictions import Predictions, read
from fl_jax.evaluation.slice_properties import SliceProperties
from fl_jax.evaluation.slice_properties import load as load_headers
from fl_jax.files import json_shape as shapes
from fl_jax.files.atomic import sha256
from fl_jax.workdir.shapes import DONE, INPUTS, MANIFEST, ROUND, SALIENCY

Json = Any
"""What `json.loads` gives: dict, list, str, int, float, bool or None."""


class Study(NamedTuple):
    """The files of a workdir.

    Attributes:
        models: predictions by model: federated, central, local_<site> in the order of sites, others.
        learning: rows of metrics.jsonl by model.
        done: done.json by model.
        manifest: manifest.json, or None.
        data: folder of the dataset: `data_dir` of the config, or data/.
        cohort: the dataset's summary.json, or None.
        partition: patients by [site][split], or None.
        headers: how every slice was made, of the dataset's index; none where that is absent.
        saliency: saliency.json of `launch.explain`, and "current", whether it is of these predictions; or
            None.
    """

    models: dict[str, Predictions]
    learning: dict[str, list[dict[str, Json]]]
    done: dict[str, dict[str, Json]]
    manifest: dict[str, Json] | None
    data: Path
    cohort: dict[str, Json] | None
    partition: dict[str, dict[str, int]] | None
    headers: SliceProperties = MappingProxyType({})
    saliency: dict[str, Json] | None = None


def load(workdir: str | os.PathLike[str]) -> Study:
    """Reads the files of a study.

    Args:
        workdir: folder of `launch.experiment`.

    Returns:
        The `Study`.

    Raises:
        FileNotFoundError: there are no predictions.
        ValueError: a file is not what it should be, with its name, line, value and a remedy.
    """
    root = Path(workdir)
    files = sorted((root / "predictions").glob("*.csv"), key=lambda path: _order(path.stem))
    if not files:
        raise FileNotFoundError(
            f"{root / 'predictions'} holds no <model>.csv: run launch.experiment with --workdir={root} first"
        )
    models = {path.stem: read(path) for path in files}
    folders = {name: root / "models" / name for name in models}
    learning = {name: _lines(folder / "metrics.jsonl") for name, folder in folders.items()}
    done = {name: read_done(root, name) for name in models}
    manifest = read_manifest(root)
    data = data_folder(root)
    return Study(
        models,
        {name: rows for name, rows in learning.items() if rows},
        {name: value for name, value in done.items() if value is not None},
        manifest,
        data,
        read_summary(data),
        _partition(root / "partition.csv"),
        load_headers(
            data / "slices" / "index.csv", _drawn(root, data, manifest), images=_images(models)
        ),
        _saliency(root, models),
    )


def _images(models: Mapping[str, Predictions]) -> set[str]:
    return {image for data in models.values() for image in data.image.tolist()}


def _drawn(root: Path, data: Path, manifest: dict[str, Json] | None) -> list[Path]:
    """Where the truth of a synthetic cohort may lie: in the source, beside the dataset, or in the workdir."""
    source = ((manifest or {}).get("config") or {}).get("source")
    cohorts = [*([Path(source)] if source else []), root / "cohort", data.parent / "cohort"]
    return [cohort / "truth" / "slices.csv" for cohort in cohorts]


def digest(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file, hexadecimal; the empty text where there is none."""
    path = Path(path)
    return sha256(path) if path.exists() else ""


def _saliency(root: Path, models: Collection[str]) -> dict[str, Json] | None:
    found = shapes.read(root / "saliency.json", SALIENCY)
    if found is None:
        return None
    parts = {tuple(row["correlation"]) for row in found["subtypes"].values() if row}
    if len(parts) > 1:
        raise ValueError(
            f"{root / 'saliency.json'}: correlation has other parts for each subtype; run its stage again"
        )
    known = found["model"] in models  # it may be any text, and is none of a file until it is known
    held = digest(root / "predictions" / f"{found['model']}.csv") if known else ""
    return found | {"current": held != "" and held == found["predictions"]}


def read_manifest(workdir: str | os.PathLike[str]) -> dict[str, Json] | None:
    """What a study was run with, of its manifest.json; None without one.

    Raises:
        ValueError: it is not what it should be.
    """
    return shapes.read(Path(workdir) / "manifest.json", MANIFEST)


def read_done(workdir: str | os.PathLike[str], model: str) -> dict[str, Json] | None:
    """What a training says of itself at its end, of its done.json; None without one.

    Raises:
        ValueError: it is not what it should be.
    """
    return shapes.read(Path(workdir) / "models" / model / "done.json", DONE)


def data_folder(workdir: str | os.PathLike[str]) -> Path:
    """Where a study's dataset is, or was.

    What its manifest says, or data/ in the workdir; where there is neither, and it trains heads, that of the
    study which their backbones are from.
    """
    root, seen = Path(workdir), []
    while root not in seen:
        seen.append(root)
        manifest = read_manifest(root)
        if manifest is not None or (root / "data").exists():
            return Path(((manifest or {}).get("config") or {}).get("data_dir") or root / "data")
        begun = sorted(root.glob("models/*/inputs.json"))[:1]
        inputs = shapes.read(begun[0], INPUTS) if begun else None
        root = Path((inputs or {}).get("backbone") or root)
    return seen[0] / "data"


def _order(model: str) -> tuple[int, str]:
    known = ("federated", "central")
    return (known.index(model) if model in known else 2 + (not model.startswith("local_")), model)


def _lines(path: Path) -> list[dict[str, Json]]:
    if not path.exists():
        return []
    rows = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: {error}; train this model again") from error
    for line, text in enumerate(lines, start=1):
        try:
            row = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path}, line {line}: {error}; train this model again") from error
        if not isinstance(row, dict) or "round" not in row:
            raise ValueError(f"{path}, line {line}: no 'round' in {text[:60]!r}; train again")
        shapes.check(f"{path}, line {line}", row, ROUND)
        rows.append(row)
    return rows


def _partition(path: Path) -> dict[str, dict[str, int]] | None:
    if not path.exists():
        return None
    counts: dict[str, dict[str, int]] = {}
    divided = partition.load(path)
    for site, split in zip(divided.site.tolist(), divided.split.tolist(), strict=True):
        of_site = counts.setdefault(site, {})
        of_site[split] = of_site.get(split, 0) + 1
    return counts


def jsonable(value: Json) -> Json:
    """Plain JSON: NaN and infinity become null, NumPy numbers Python's, tuples lists, keys strings.

    Args:
        value: nested mappings, sequences, NumPy scalars and arrays, numbers, strings.

    Returns:
        The same for `json.dumps(..., allow_nan=False)`.
    """
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    if hasattr(value, "tolist"):
        return jsonable(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
