"""The cost of an experiment's statistics, page, figures and tables, from predictions in memory.

Seven models at five hospitals, each with a fifth of the slices; a quarter as many again for validation and
for the hold-out. Patients have 32 correlated slices. Each part is timed once, then the whole, and DeLong's
interval alone on a million scores.
"""

import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy import special

from fl_jax.core.types import LABELS
from fl_jax.data.site_names import HOLDOUT
from fl_jax.evaluation import bootstrap_metrics, delong, delong_by_label
from fl_jax.evaluation.predictions import Predictions, select
from launch.benchmarks import table

SLICES, DEPTH, SITES, RESAMPLES, SCORES = 100_000, 32, 5, 2000, 1_000_000
"""Test slices, slices of a patient, hospitals, bootstrap resamples, scores of DeLong alone."""
SKILL = {"federated": 3.0, "central": 3.1} | {f"local_site_{site}": 2.0 for site in range(SITES)}


def run(options: Any) -> dict[str, Any]:
    """Measures the parts and the whole, and the peak memory of the process."""
    del options
    models = predictions()
    taken = {name: _seconds(work) for name, work in parts(models).items()}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
        1 if sys.platform == "darwin" else 1024
    )
    rows = [[name, f"{wall:.1f}", f"{cpu:.1f}"] for name, (wall, cpu) in taken.items()]
    title = f"statistics: {len(models)} models, {SITES} sites, {SLICES} test slices, {RESAMPLES} resamples"
    print(table.text(title, ("", "seconds", "of all cores"), rows), flush=True)
    print(f"peak memory {peak / 2**30:.2f} GiB", flush=True)
    return {
        "slices": SLICES,
        "patients": int(np.unique(models["federated"].patient).size),
        "models": len(models),
        "sites": SITES,
        "resamples": RESAMPLES,
        "scores": SCORES,
        "seconds": {name: wall for name, (wall, _) in taken.items()},
        "cpu_seconds": {name: cpu for name, (_, cpu) in taken.items()},
        "peak_bytes": peak,
    }


def parts(models: dict[str, Predictions]) -> dict[str, Callable[[], Any]]:
    """The timed parts by name."""
    from fl_jax.files.jsonable import jsonable
    from fl_jax.report import journal, page, results  # matplotlib, which other suites do without
    from fl_jax.workdir import Records

    records = Records(models, {}, {}, None, Path(), None, None, headers(models["federated"]))
    computed: dict[str, Any] = {}

    def compute() -> None:
        computed.update(results.compute(records, resamples=RESAMPLES))

    def draw() -> None:
        read = json.loads(json.dumps(jsonable(computed | {"survey": None})))
        page.render(read)
        journal.figure_files(read)
        journal.table_files(read)

    test = select(models["federated"], models["federated"].split == "test")
    generator = np.random.default_rng(1)
    truth = generator.random(SCORES) < 0.1
    scores = truth + generator.standard_normal(SCORES)
    patients = np.arange(SCORES) // DEPTH
    return {
        f"DeLong, {SCORES} scores, clustered": lambda: delong.area(truth, scores, patients),
        "DeLong, one model, all hospitals": lambda: delong_by_label.label_areas(test),
        "bootstrap, one model, all hospitals": lambda: bootstrap_metrics.measure(
            test, resamples=RESAMPLES
        ),
        "all statistics of the experiment": compute,
        "page, figures and tables": draw,
    }


def headers(data: Predictions) -> dict[str, dict[str, str]]:
    """Subgroups as in the demo: three slice thicknesses, four scanners, three sizes of bleeds."""
    generator = np.random.default_rng(2)
    _, patients = np.unique(data.patient, return_inverse=True)
    count = int(patients.max()) + 1
    properties = {}
    for name, groups in (("slice thickness", 3), ("manufacturer", 4)):
        drawn = generator.integers(0, groups, count)[patients]
        properties[name] = {image: f"group {n}" for image, n in zip(data.image, drawn, strict=True)}
    sizes = generator.integers(0, 3, data.image.size)
    bleeds = data.truth[:, 0] > 0
    by_image = zip(data.image[bleeds], sizes[bleeds], strict=True)
    return properties | {
        "size of the bleed in the slice": {image: f"size {n}" for image, n in by_image}
    }


def predictions() -> dict[str, Predictions]:
    """Predictions of seven models for the same patients of five hospitals and a hold-out."""
    generator = np.random.default_rng(0)
    split, site = (np.array(column) for column in zip(*_patients(), strict=True))
    at = np.repeat(np.arange(site.size), DEPTH)
    positive = generator.random((site.size, len(LABELS) - 1)) < 0.15
    truth = np.zeros((at.size, len(LABELS)), np.uint8)
    truth[:, 1:] = positive[at] & (generator.random((at.size, len(LABELS) - 1)) < 0.35)
    truth[:, 0] = truth[:, 1:].any(axis=1)
    shared = generator.standard_normal((site.size, 1))[at]
    image = np.array([f"image{number:07d}" for number in range(at.size)])
    patient = np.array([f"patient{number:06d}" for number in range(site.size)])[at]
    models = {}
    for model, skill in SKILL.items():
        logits = skill * truth - 3 + shared + generator.standard_normal(truth.shape)
        scores = special.expit(logits.astype(np.float32)).astype(np.float64)
        models[model] = Predictions(image, patient, site[at], split[at], truth, scores)
    return models


def _patients() -> Iterator[tuple[str, str]]:
    """Split and site of every patient."""
    each = max(1, SLICES // (SITES * DEPTH))
    for site in range(SITES):
        yield from [("test", f"site_{site}")] * each
        yield from [("validation", f"site_{site}")] * max(1, each // 4)
    yield from [(HOLDOUT, HOLDOUT)] * max(1, each * SITES // 4)


def _seconds(work: Callable[[], Any]) -> tuple[float, float]:
    """Wall seconds, and CPU-seconds over all cores."""
    start = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - start[0], time.process_time() - start[1]
