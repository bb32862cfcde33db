"""Where the federated model looks, measured against the lesions that the synthetic cohort is known to hold.

    python -m launch.explain --workdir=runs/demo && python -m launch.report --workdir=runs/demo

Needs the cohort's truth/masks and the dataset. Takes hold-out slices with a drawn lesion, at most 40 of a
subtype, makes a SmoothGrad map of each, and writes saliency.json: the share of the map inside that subtype's
lesion against its share of the head, with intervals by patient, and the maps' correlation with those of
models whose parameters are random, in whole or in one part. Panels go to saliency/<subtype>.png; the report
shows both. Some 40 s of a processor for the demo.
"""

from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import app, flags
from numpy.typing import NDArray
from scipy import ndimage

from fl_jax.core.keys import stream
from fl_jax.core.types import LABELS, Params
from fl_jax.data import slices as datasets
from fl_jax.data.dicom.hounsfield import resize
from fl_jax.data.windows import DEFAULT_WINDOWS
from fl_jax.evaluation import predictions, saliency
from fl_jax.experiment import data as experiment
from fl_jax.experiment import model as backbone
from fl_jax.experiment import restore as trained
from fl_jax.files import atomic
from fl_jax.files.jsonable import jsonable
from fl_jax.report import pictures
from fl_jax.workdir import Workdir
from launch.cli import progress

FLAGS = flags.FLAGS

BATCH, SHOWN = 16, 3
MOST = 40
"""Slices of a subtype that are measured, drawn without replacement."""
CHECKED = 16
"""Of these, how many random parameters are tried on: each part of the model needs a map."""
SAMPLES, NOISE = 16, 5.0
RULE = (
    "hold-out slices whose label is set and whose drawn lesion covers a pixel at the model's size; "
    f"at most {MOST} of a subtype, drawn without replacement"
)


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
        with np.load(path, allow_pickle=False) as held:
            for name, bits in zip(held["images"].tolist(), held["subtypes"], strict=True):
                if name in wanted and bits.any():
                    planes = [1000 * (bits >> n & 1).astype(np.int16) for n in range(5)]
                    square = (float("nan"), float("nan"))
                    found[name] = np.stack([resize(p, size, square) for p in planes]) >= 500
    return found


def explain(
    model: trained.Trained, data: datasets.Slices, held: predictions.Predictions, cohort: Path,
    *, judged: str, seed: int, resamples: int,
) -> tuple[dict[str, Any], dict[str, NDArray[np.uint8]]]:  # fmt: skip
    """Measures the maps of every subtype.

    Args:
        model: what to explain.
        data: the dataset.
        held: the hold-out's predictions.
        cohort: with the masks.
        judged: the digest of the predictions' file, by which the report knows whether this is of its model.
        seed: of noise, random parameters and resampling.
        resamples: of patients.

    Returns:
        What saliency.json holds, and a panel uint8[H', W'] by subtype.
    """
    if data.input_shape != data.image_shape:
        raise ValueError(
            "config.adjacent, config.backbone: maps are made of models that read one slice"
        )
    lesions = masks(cohort, held.image, model.image_size)
    row = {str(name): number for number, name in enumerate(data.image)}
    key = stream(jax.random.key(seed), "saliency")
    network = backbone.network(model.config, data.input_shape).task
    others = saliency.randomised(model.params, network.init(stream(key, "random")))
    slope = saliency.gradient(network.logits)

    def maps(params: Params, hu: NDArray[np.int16], number: int) -> NDArray[np.float32]:
        """[N, H, W], in batches of one shape, so that one program is compiled."""
        padded = np.concatenate([hu, np.repeat(hu[-1:], -len(hu) % BATCH, 0)])
        drawn = {"samples": SAMPLES, "noise": NOISE}
        parts = [
            saliency.smooth_grad(
                slope, params, padded[at : at + BATCH], number, stream(key, "noise"), **drawn
            )
            for at in range(0, len(padded), BATCH)
        ]
        return np.concatenate(parts)[: len(hu)]

    found: dict[str, Any] = {}
    panels: dict[str, NDArray[np.uint8]] = {}
    for number, subtype in enumerate(LABELS[1:], start=1):
        fit = [
            at
            for at, name in enumerate(held.image.tolist())
            if held.truth[at, number] and name in lesions and lesions[name][number - 1].any()
        ]
        if not fit:
            found[subtype] = None
            continue
        rng = np.random.default_rng([seed, number])
        chosen = rng.permutation(fit)[:MOST]
        names, patient = held.image[chosen].tolist(), held.patient[chosen]
        hu = data.hu(np.array([row[name] for name in names]))
        lesion, head = np.stack([lesions[name][number - 1] for name in names]), saliency.head(hu)

        own = maps(model.params, hu, number)
        share, chance = saliency.share_inside(own, lesion, head)
        tried = slice(0, CHECKED)
        other = {part: maps(params, hu[tried], number) for part, params in others.items()}
        blind, _ = saliency.share_inside(other["all"], lesion[tried], head[tried])
        clusters = partial(saliency.clustered_mean, resamples=resamples, seed=seed)
        found[subtype] = {
            "fit": len(fit),
            "slices": len(names),
            "patients": int(np.unique(patient).size),
            "share": clusters(share, patient)._asdict(),
            "chance": clusters(chance, patient)._asdict(),
            "difference": clusters(share - chance, patient)._asdict(),
            "checked_slices": len(blind),
            "checked_share": clusters(share[tried], patient[tried])._asdict(),
            "random_share": clusters(blind, patient[tried])._asdict(),
            "correlation": {
                part: clusters(
                    saliency.similarity(own[tried], one, head[tried] & (own[tried] + one > 0)),
                    patient[tried],
                )._asdict()
                for part, one in other.items()
            },
        }
        _, first = np.unique(patient[tried], return_index=True)
        shown = np.sort(first)[:SHOWN]
        panels[subtype] = _panel(hu[shown], lesion[shown], own[shown], other["all"][shown])
    return {
        "model": model.name,
        "round": model.round,
        "predictions": judged,
        "method": "SmoothGrad",
        "samples": SAMPLES,
        "noise_hu": NOISE,
        "slices": RULE,
        "seed": seed,
        "resamples": resamples,
        "subtypes": found,
    }, panels


def _panel(hu: Any, lesion: Any, own: Any, other: Any) -> NDArray[np.uint8]:
    """A column a slice; rows: brain window, the same with the lesion's outline, both maps with it."""

    def scaled(maps: Any) -> Any:
        top = np.quantile(maps, 0.995, axis=(1, 2), keepdims=True)
        return 255 * np.clip(maps / np.maximum(top, 1e-30), 0, 1)

    edge = lesion ^ ndimage.binary_erosion(lesion, np.ones((1, 3, 3)))
    grey = np.stack([pictures.windowed(one, DEFAULT_WINDOWS[:1]) for one in hu])
    rows = [grey, *(np.where(edge, 255, picture) for picture in (grey, scaled(own), scaled(other)))]
    return np.concatenate([np.concatenate(list(row), axis=1) for row in rows]).astype(np.uint8)


def main(argv: list[str]) -> None:
    """Explains the model that the flags name and writes what was found."""
    if len(argv) > 1:
        raise app.UsageError(f"unknown arguments {argv[1:]}: flags start with --")
    say, workdir = (
        progress.Messages(progress.console()).message,
        Path(FLAGS.workdir).expanduser(),
    )
    with progress.readable_errors():
        model = trained.load(Workdir(workdir), FLAGS.model, complain=say)
        data = experiment.as_read(model.config, datasets.load(Workdir(workdir).find_data()))
        path = workdir / "predictions" / f"{FLAGS.model}.csv"
        judged = predictions.read(path)
        held = predictions.select(judged, judged.split == "holdout")
        cohort = Path(FLAGS.cohort or workdir / "cohort").expanduser()
        found, panels = explain(
            *(model, data, held, cohort),
            judged=atomic.sha256(path),
            seed=FLAGS.seed,
            resamples=FLAGS.resamples,
        )
        (workdir / "saliency").mkdir(exist_ok=True)
        for subtype, panel in panels.items():
            atomic.write_bytes(workdir / "saliency" / f"{subtype}.png", pictures.png(panel))
        atomic.write_json(workdir / "saliency.json", jsonable(found))
    print(workdir / "saliency.json")


if __name__ == "__main__":
    flags.DEFINE_string("workdir", None, "Folder of launch.experiment.", required=True)
    flags.DEFINE_string("cohort", None, "Folder of make_phantom; workdir/cohort without it.")
    flags.DEFINE_string("model", "federated", "A folder of the workdir's models/.")
    flags.DEFINE_integer("seed", 0, "Of noise, random parameters and resampling.")
    flags.DEFINE_integer("resamples", 1000, "Of patients.", lower_bound=1)
    app.run(main)
