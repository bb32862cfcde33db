"""A finished experiment's workdir, made up: seven models, five sites, patients with correlated slices."""

import json
from pathlib import Path

import make_summary
import numpy as np

from fl_jax.core.types import LABELS
from fl_jax.evaluation import predictions
from fl_jax.workdir import Workdir

SITES = {"alder": 44, "birch": 30, "cedar": 20, "dogwood": 13, "elm": 8}
"""Test patients of each site; half as many for validation."""
HOLDOUT = 60
PREVALENCE = np.array([0.0, 0.012, 0.05, 0.04, 0.06, 0.05])
MANIFEST = {
    "config": {
        "algorithm": "fed_avg(keep_optimizer=True)",
        "rounds": 10,
        "optimizer": "adam(3e-4)",
        "batch_size": 16,
        "seed": 0,
        "resamples": 30,
        "cohort": {"seed": 0, "scale": 1.0, "matrix": 256},
    },
    "command": "python -m launch.experiment --config=configs/demo.py --workdir=runs/demo",
    "seed": 0,
    "started": "2023-05-17T08:30:00+00:00",
    "versions": {"python": "3.11.15", "jax": "0.10.2", "flax": "0.12.8", "fl_jax": "0.1.0"},
    "git": "0123456789ab-dirty",
    "device": "1 x cpu",
    "machine": "x86_64, 2 cores",
    "stages": {"cohort": 71.2, "dataset": 24.9, "training": 402.7},
    "cpu_seconds": {"cohort": 139.8, "dataset": 46.1, "training": 790.3},
}
"""What `launch.experiment` writes; the end-to-end test compares its shape with a true one."""
SKILL = {"federated": 4.3, "central": 4.6, "local": 2.9}


def _patients(rng: np.random.Generator) -> list[tuple[str, str, str, int]]:
    """(patient, site, split, slices)"""
    rows = []
    for site, count in [*SITES.items(), ("holdout", HOLDOUT)]:
        splits = ["holdout"] * count if site == "holdout" else ["test"] * count
        splits += [] if site == "holdout" else ["validation"] * max(4, count // 2)
        for number, split in enumerate(splits):
            rows.append((f"{site}-{number:03d}", site, split, int(rng.integers(5, 10))))
    return rows


def _truth(rng: np.random.Generator, slices: int) -> np.ndarray:
    """Bleeds of a patient extend over neighbouring slices."""
    truth = np.zeros((slices, len(LABELS)), np.uint8)
    for label in np.flatnonzero(rng.random(len(LABELS)) < PREVALENCE * 4):
        start = rng.integers(0, slices - 1)
        truth[start : start + rng.integers(1, 4), label] = 1
    truth[:, 0] = truth[:, 1:].any(axis=1)
    return truth


def _scores(rng: np.random.Generator, truth: np.ndarray, skill: float, shared: np.ndarray):
    noise = shared + 0.5 * rng.normal(size=truth.shape)
    return 1 / (1 + np.exp(-(skill * truth - 3.2 + noise)))


def _learning(rng: np.random.Generator, model: str, rounds: int) -> list[dict]:
    top = {"federated": 0.955, "central": 0.962}.get(model, 0.88)
    rows = []
    for number in range(1, rounds + 1):
        loss = 0.35 + 0.9 * np.exp(-number / 2.5) + rng.normal() * 0.01
        sites = {site: loss + 0.1 * i for i, site in enumerate(SITES)}
        rows.append(
            {
                "round": number,
                "loss": loss,
                "val_macro_auroc": top - 0.4 * np.exp(-number / 2) + rng.normal() * 0.005,
                "val_loss": loss + 0.05 + 0.01 * number,
                "examples": 2400 if number % 3 else 2100,
                "seconds": 9.5,
                "images_per_second": 251.0,
                "participants": list(SITES),
                "site_loss": sites if model == "federated" else {},
                "left_out": {"elm": "not finite"}
                if model == "federated" and number in (3, 4)
                else {},
            }
        )
    return rows


def make(workdir: Path, *, seed: int = 0, rounds: int = 10) -> Path:
    """Writes what `launch.experiment` leaves, but for the dataset, the cohort and the checkpoints."""
    rng = np.random.default_rng(seed)
    Workdir(workdir).claim()
    rows = _patients(rng)
    image, patient, site, split, truths, shared = [], [], [], [], [], []
    for name, where, part, slices in rows:
        truths.append(_truth(rng, slices))
        shared.append(rng.normal(size=(1, 1)) + 1.1 * rng.normal(size=(slices, len(LABELS))))
        image += [f"ID_{name}_{i}" for i in range(slices)]
        patient += [name] * slices
        site += [where] * slices
        split += [part] * slices
    truth, common = np.concatenate(truths), np.concatenate(shared)
    names = ["federated", "central", *(f"local_{name}" for name in SITES)]
    (workdir / "predictions").mkdir(parents=True)
    for number, model in enumerate(names):
        skill = SKILL[model.split("_")[0]] + (0.35 * (3 - number) if number > 1 else 0)
        home = np.array([model.endswith(where) for where in site])
        scores = _scores(rng, truth, skill, common)
        # The largest hospital's local model beats the federation at home, the second one's equals it.
        better = _scores(rng, truth, skill + {2: 2.4, 3: 1.3}.get(number, 0.7), common)
        data = predictions.Predictions(
            np.array(image),
            np.array(patient),
            np.array(site),
            np.array(split),
            truth,
            np.where(home[:, None], better, scores),
        )
        predictions.write(workdir / "predictions" / f"{model}.csv", data)
        folder = workdir / "models" / model
        folder.mkdir(parents=True)
        curve = _learning(rng, model, rounds)
        (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in curve))
        best = max(curve, key=lambda row: row["val_macro_auroc"])
        done = {
            "best_round": best["round"],
            "rounds": rounds,
            "examples_seen": sum(row["examples"] for row in curve),
            "seconds": 9.5 * rounds,
            "parameters": 700_310,
            "best_val_macro_auroc": best["val_macro_auroc"],
            "images_per_second": 251.0,
        }
        (folder / "done.json").write_text(json.dumps(done))
    _rest(workdir, rows, truth, np.array(site))
    return workdir


def add_personal(workdir: Path) -> None:
    """Perfect predictions by the personalised model of each site."""
    data = predictions.read(workdir / "predictions" / "federated.csv")
    data = predictions.select(data, data.split != "holdout")
    perfect = data._replace(scores=(data.scores + data.truth) / 2)
    predictions.write(workdir / "predictions" / "personal.csv", perfect)


def _rest(workdir: Path, rows: list, truth: np.ndarray, site: np.ndarray) -> None:
    sides = [f"{name},{where},{part}\n" for name, where, part, _ in rows]
    sides += [f"{where}-t{i},{where},train\n" for where, n in SITES.items() for i in range(3 * n)]
    (workdir / "partition.csv").write_text("patient,site,split\n" + "".join(sides))
    sites = {}
    for name in [*SITES, "holdout"]:
        here = truth[site == name]
        count = sum(f",{name}," in side for side in sides)
        sites[name] = {
            "patients": count,
            "studies": count,
            "slices": int(here.shape[0]),
            "positives": dict(zip(LABELS, here.sum(axis=0).tolist(), strict=True)),
            "refused": {"truncated pixels": 2, "not CT": 1} if name == "birch" else {},
            "repairs": {"12-bit wraparound": 40, "padding": 271} if name == "cedar" else {},
            "labels_without_image": 3 if name == "elm" else 0,
        }
    (workdir / "data").mkdir()
    make_summary.write(workdir / "data", sites, refused=0.0024)
    (workdir / "manifest.json").write_text(json.dumps(MANIFEST))


def head(image: str, size: int = 96) -> np.ndarray:
    """int16[size, size] HU: a drawn head with a bleed whose place depends on the image's name."""
    rng = np.random.default_rng(list(image.encode()))
    rows, columns = np.mgrid[:size, :size] / size - 0.5
    radius = np.hypot(rows / 0.46, columns / 0.38)
    hu = np.full((size, size), -1000.0)
    hu[radius < 1] = 1100
    hu[radius < 0.9] = 34
    hu[np.hypot((rows + 0.02) / 0.13, (np.abs(columns) - 0.05) / 0.03) < 1] = 6
    place = rng.uniform(-0.2, 0.2, 2)
    hu[np.hypot(rows - place[0], columns - place[1]) < 0.06] = 68
    return (hu + rng.normal(0, 4, hu.shape)).astype(np.int16)


def heads(images) -> dict[str, np.ndarray]:
    """A `thumbnails` for `report.build`."""
    return {
        str(image): np.stack([head(f"{image}{side}") for side in ("-", "", "+")])
        for image in images
    }
