"""Where the federated model looks, measured against the lesions that the synthetic cohort is known to hold.

    python -m launch.explain --workdir=runs/demo

Needs the cohort's truth/masks and the dataset. Takes the hold-out's slices with a drawn lesion, makes a
SmoothGrad map for each subtype, and writes saliency.json: the share of the map inside that subtype's lesion
against its share of the head, with intervals by patient, and the maps' correlation with those of models
whose parameters are random, in whole or in one part. Panels go to saliency/<subtype>.png.
"""

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import app, flags, logging
from numpy.typing import NDArray
from rich.console import Console

from fl_jax.data import slices as datasets
from fl_jax.data.dicom.hounsfield import resize
from fl_jax.data.windows import STUDY_WINDOWS
from fl_jax.evaluation import predictions, saliency
from fl_jax.keys import stream
from fl_jax.report import cases, files
from fl_jax.types import LABELS
from launch import experiment, progress, trained

_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of launch.study.", required=True)
_COHORT = flags.DEFINE_string("cohort", None, "Folder of make_phantom; workdir/cohort without it.")
_MODEL = flags.DEFINE_string("model", "federated", "A folder of the workdir's models/.")
_SEED = flags.DEFINE_integer("seed", 0, "Of noise, random parameters and resampling.")
_RESAMPLES = flags.DEFINE_integer("resamples", 1000, "Of patients.", lower_bound=1)

AIR = -300
"""HU under which a pixel is not of the head."""
BATCH, SHOWN = 16, 4
CHECKED = 16
"""Slices of a subtype, evenly spread, on which random parameters are tried; a map is needed for each part."""
SAMPLES, NOISE = 16, 5.0


def masks(cohort: Path, images: NDArray[np.str_], size: int) -> dict[str, NDArray[np.bool_]]:
    """The drawn lesions of a synthetic cohort, at the size that the model reads.

    Args:
        cohort: folder of `launch.make_phantom`.
        images: names that are wanted.
        size: rows and columns, pixels.

    Returns:
        bool[5, size, size] by image, in the order of `LABELS[1:]`: at least half of the pixel is lesion.
        Images without a lesion are absent.

    Raises:
        FileNotFoundError: the cohort holds no masks.
    """
    paths = sorted((cohort / "truth" / "masks").glob("*.npz"))
    if not paths:
        raise FileNotFoundError(
            f"{cohort}/truth/masks holds no masks: lesions are known for cohorts of launch.make_phantom only"
        )
    wanted, found = set(images.tolist()), {}
    for path in paths:
        with np.load(path) as held:
            for name, bits in zip(held["images"].tolist(), held["subtypes"], strict=True):
                if name in wanted and bits.any():
                    planes = [1000 * (bits >> n & 1).astype(np.int16) for n in range(5)]
                    square = (float("nan"), float("nan"))
                    found[name] = np.stack([resize(p, size, square) for p in planes]) >= 500
    return found


def explain(
    model: trained.Trained, data: datasets.Slices, held: predictions.Predictions, cohort: Path,
    *, seed: int, resamples: int,
) -> tuple[dict[str, Any], dict[str, NDArray[np.uint8]]]:  # fmt: skip
    """Measures the maps of every subtype.

    Args:
        model: what to explain.
        data: the dataset.
        held: the hold-out's predictions.
        cohort: with the masks.
        seed: of noise, random parameters and resampling.
        resamples: of patients.

    Returns:
        What saliency.json holds, and a panel uint8[H', W'] by subtype.
    """
    if data.input_shape != data.image_shape:
        raise ValueError("config.adjacent: maps are made of models that read one slice")
    lesions = masks(cohort, held.image, model.image_size)
    row = {str(name): number for number, name in enumerate(data.image)}
    key = stream(jax.random.key(seed), "saliency")
    network = experiment.network(model.config, data.input_shape)
    others = saliency.randomised(model.params, network.init(stream(key, "random")))
    noise = stream(key, "noise")

    @jax.jit
    def gradient(params: Any, hu: Any, label: int) -> jax.Array:
        return saliency.smooth_grad(
            network.logits, params, hu, label, noise, samples=SAMPLES, noise=NOISE
        )

    def maps(params: Any, hu: Any, number: int) -> NDArray[np.float32]:
        padded = np.concatenate(
            [hu, np.repeat(hu[-1:], -len(hu) % BATCH, 0)]
        )  # one shape, one program
        parts = [
            np.asarray(gradient(params, padded[at : at + BATCH], number))
            for at in range(0, len(padded), BATCH)
        ]
        return np.concatenate(parts)[: len(hu)]

    found: dict[str, Any] = {}
    panels: dict[str, NDArray[np.uint8]] = {}
    for number, subtype in enumerate(LABELS[1:], start=1):
        chosen = [
            at
            for at, name in enumerate(held.image.tolist())
            if held.truth[at, number] and name in lesions and lesions[name][number - 1].any()
        ]
        if not chosen:
            found[subtype] = None
            continue
        names = held.image[chosen].tolist()
        hu = data.hu(np.array([row[name] for name in names]))
        lesion = np.stack([lesions[name][number - 1] for name in names])
        head = hu > AIR

        own = maps(model.params, hu, number)
        share, chance = saliency.share_inside(own, lesion, head)

        patient = held.patient[chosen]
        tried = np.unique(np.linspace(0, len(hu) - 1, CHECKED).astype(int))
        other = {part: maps(params, hu[tried], number) for part, params in others.items()}
        blind, _ = saliency.share_inside(other["all"], lesion[tried], head[tried])

        def mean(values: NDArray[Any], patient: NDArray[Any] = patient) -> dict[str, float]:
            return saliency.clustered_mean(
                values, patient, resamples=resamples, seed=seed
            )._asdict()

        found[subtype] = {
            "slices": len(names),
            "patients": int(np.unique(held.patient[chosen]).size),
            "share": mean(share),
            "chance": mean(chance),
            "difference": mean(share - chance),
            "checked_slices": len(tried),
            "random_model_share": mean(blind, patient[tried]),
            "checked_share": mean(share[tried], patient[tried]),
            "correlation": {
                part: mean(saliency.similarity(own[tried], one, head[tried]), patient[tried])
                for part, one in other.items()
            },
        }
        shown = tried[np.linspace(0, len(tried) - 1, min(SHOWN, len(tried))).astype(int)]
        random = maps(others["all"], hu[shown], number)
        panels[subtype] = _panel(hu[shown], lesion[shown], own[shown], random)
    facts = {"model": model.name, "round": model.round, "method": "SmoothGrad", "samples": SAMPLES}
    return {
        **facts,
        "noise_hu": NOISE,
        "seed": seed,
        "resamples": resamples,
        "subtypes": found,
    }, panels


def _panel(hu: Any, lesion: Any, own: Any, other: Any) -> NDArray[np.uint8]:
    """A row a slice: brain window, lesion, map of the model, map of the random model."""

    def scaled(maps: Any) -> NDArray[np.uint8]:
        top = np.quantile(maps, 0.995, axis=(1, 2), keepdims=True)
        return (255 * np.clip(maps / np.maximum(top, 1e-30), 0, 1)).astype(np.uint8)

    grey = np.stack([cases.windowed(one, STUDY_WINDOWS[:1]) for one in hu]).reshape(hu.shape)
    columns = [grey, np.where(lesion, 255, 0).astype(np.uint8), scaled(own), scaled(other)]
    return np.concatenate([np.concatenate(list(column)) for column in columns], axis=1)


def main(argv: list[str]) -> None:
    """Explains the model that the flags name and writes what was found."""
    if len(argv) > 1:
        raise app.UsageError(f"unknown arguments {argv[1:]}: flags start with --")
    logging.set_verbosity(logging.ERROR)
    say, workdir = (
        progress.speaker(Console(stderr=True, highlight=False)),
        Path(_WORKDIR.value).expanduser(),
    )
    with progress.readable_errors():
        model = trained.load(workdir, _MODEL.value, complain=say)
        manifest = json.loads((workdir / "manifest.json").read_text())
        data_dir = Path(manifest["config"]["data_dir"] or workdir / "data")
        data = experiment.as_read(model.config, datasets.load(data_dir))
        judged = predictions.read(workdir / "predictions" / f"{_MODEL.value}.csv")
        held = predictions.select(judged, judged.split == "holdout")
        cohort = Path(_COHORT.value or workdir / "cohort").expanduser()
        found, panels = explain(
            model, data, held, cohort, seed=_SEED.value, resamples=_RESAMPLES.value
        )
        (workdir / "saliency").mkdir(exist_ok=True)
        for subtype, panel in panels.items():
            (workdir / "saliency" / f"{subtype}.png").write_bytes(cases.png(panel))
        progress.write_json(workdir / "saliency.json", files.jsonable(found))
    print(workdir / "saliency.json")


if __name__ == "__main__":
    app.run(main)
