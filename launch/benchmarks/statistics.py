"""What the statistics of a study cost: every number of `results.json`, from predictions in memory.

Seven models at five hospitals, of which each has a fifth of the slices; a quarter as many again for
validation and for the hold-out. Patients have 32 slices, which resemble each other. The parts are timed one
after the other on the same data and the whole once; beside them DeLong's interval alone on many scores.
"""

import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy import special

from fl_jax.data.sources import HOLDOUT
from fl_jax.evaluation import delong, summary
from fl_jax.evaluation.predictions import Predictions, select
from fl_jax.types import LABELS
from launch.benchmarks import table

SLICES, DEPTH, SITES, RESAMPLES, SCORES = 100_000, 32, 5, 2000, 1_000_000
"""Test slices, slices of a patient, hospitals, bootstrap resamples, scores of DeLong alone."""
SKILL = {"federated": 3.0, "central": 3.1} | {f"local_site_{site}": 2.0 for site in range(SITES)}


def run(options: Any) -> dict[str, Any]:
    """Measures the parts and the whole, and prints a table.

    Args:
        options: nothing of it is used.

    Returns:
        `{"slices", "patients", "models", "sites", "resamples", "scores", "seconds": {part: ...},
        "peak_bytes"}`, the peak being the process's.
    """
    del options
    models = predictions()
    seconds = {name: _seconds(work) for name, work in parts(models).items()}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
        1 if sys.platform == "darwin" else 1024
    )
    rows = [[name, f"{taken:.1f}", ""] for name, taken in seconds.items()]
    title = f"statistics: {len(models)} models, {SITES} sites, {SLICES} test slices, {RESAMPLES} resamples"
    print(table.text(title, ("", "seconds", ""), rows), flush=True)
    print(f"peak memory {peak / 2**30:.2f} GiB", flush=True)
    return {
        "slices": SLICES,
        "patients": int(np.unique(models["federated"].patient).size),
        "models": len(models),
        "sites": SITES,
        "resamples": RESAMPLES,
        "scores": SCORES,
        "seconds": seconds,
        "peak_bytes": peak,
    }


def parts(models: dict[str, Predictions]) -> dict[str, Callable[[], Any]]:
    """What is timed, by name."""
    from fl_jax.report import results  # draws figures and pages, which other suites do without
    from fl_jax.report.files import Study

    study = Study(models, {}, {}, None, Path(), None, None)
    held = select(models["federated"], models["federated"].split == "test")
    generator = np.random.default_rng(1)
    truth = generator.random(SCORES) < 0.1
    scores = truth + generator.standard_normal(SCORES)
    patients = np.arange(SCORES) // DEPTH
    return {
        f"DeLong, {SCORES} scores, clustered": lambda: delong.area(truth, scores, patients),
        "DeLong, one model, all hospitals": lambda: summary.errors(held),
        "bootstrap, one model, all hospitals": lambda: summary.measure(held, resamples=RESAMPLES),
        "all statistics of the study": lambda: results.compute(study, resamples=RESAMPLES),
    }


def predictions() -> dict[str, Predictions]:
    """What seven models say about the same patients of five hospitals and a hold-out."""
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
    found = {}
    for model, skill in SKILL.items():
        logits = skill * truth - 3 + shared + generator.standard_normal(truth.shape)
        scores = special.expit(logits.astype(np.float32)).astype(np.float64)
        found[model] = Predictions(image, patient, site[at], split[at], truth, scores)
    return found


def _patients() -> Iterator[tuple[str, str]]:
    """Split and site of every patient."""
    each = max(1, SLICES // (SITES * DEPTH))
    for site in range(SITES):
        yield from [("test", f"site_{site}")] * each
        yield from [("validation", f"site_{site}")] * max(1, each // 4)
    yield from [(HOLDOUT, HOLDOUT)] * max(1, each * SITES // 4)


def _seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
