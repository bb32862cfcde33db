"""Compares a model's saliency maps with the lesions drawn into a synthetic cohort.

For hold-out slices with a lesion of each subtype: the share of the SmoothGrad map inside the lesion, next to
the lesion's share of the head, and the map's rank correlation with that of a model with random parameters,
all of them or one part (the sanity check of Adebayo et al., 2018). Intervals resample patients.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fl_jax.core.keys import stream
from fl_jax.core.types import LABELS, Params
from fl_jax.data import slices as datasets
from fl_jax.data.dicom.hounsfield import resize
from fl_jax.data.dicom.resample import Centre, resample
from fl_jax.data.windows import DEFAULT_WINDOWS
from fl_jax.evaluation import predictions, saliency
from fl_jax.evaluation.predictions import Predictions
from fl_jax.experiment import data as experiment
from fl_jax.experiment import model as backbone
from fl_jax.experiment import restore
from fl_jax.experiment.reporter import Reporter
from fl_jax.files import atomic, folders
from fl_jax.files.npz import read_npz
from fl_jax.files.regular import sha256
from fl_jax.report import pictures
from fl_jax.workdir import Workdir
from fl_jax.workdir.schema import Interval, Saliency, SubtypeMaps

BATCH, SHOWN = 16, 3
MOST = 40
"""Slices measured per subtype, drawn without replacement."""
CHECKED = 16
"""Of these, slices for the sanity check, which needs a map for each part of the model."""
SAMPLES, NOISE = 16, 5.0
RULE = (
    "hold-out slices whose label is set and whose drawn lesion covers a pixel at the model's size; "
    f"at most {MOST} of a subtype, drawn without replacement"
)
Maps = Callable[[Params, NDArray[np.int16], int], NDArray[np.float32]]
"""`(params, int16[N, H, W] HU, label) -> [N, H, W]`"""


class Explanation(NamedTuple):
    """The measurements, and a picture uint8[H', W'] by subtype."""

    saliency: Saliency
    panels: dict[str, NDArray[np.uint8]]


class _Slices(NamedTuple):
    """The measured slices of one subtype."""

    hu: NDArray[np.int16]
    lesion: NDArray[np.bool_]
    head: NDArray[np.bool_]
    patient: NDArray[np.str_]


def explain_workdir(
    workdir: Workdir,
    arm: str,
    *,
    cohort: Path | None = None,
    seed: int = 0,
    resamples: int = 1000,
    reporter: Reporter,
) -> Saliency:
    """Explains an arm's model on the hold-out; writes `saliency.json` and its pictures.

    Args:
        workdir: of `launch.experiment`.
        arm: `federated`, `central` or `local_<site>`.
        cohort: folder of `launch.make_phantom`; None takes the workdir's.
        seed: of noise, random parameters and resampling.
        resamples: of patients.
        reporter: gets a message for every damaged checkpoint.

    Raises:
        FileNotFoundError: there is no such model, or the cohort has no masks.
        ValueError: the model reads several slices.
    """
    model = restore.load(workdir, reporter, arm)
    slices = experiment.as_read(model.config, datasets.load(workdir.own_data()))
    path = workdir.predictions(arm)
    scores = predictions.read(path)
    result = explain(
        model,
        slices,
        predictions.select(scores, scores.split == "holdout"),
        cohort or workdir.cohort,
        digest=sha256(path),
        seed=seed,
        resamples=resamples,
    )
    with workdir.lock("saliency"):
        atomic.delete(workdir.saliency)  # numbers never go with pictures of another call
        for subtype in result.saliency.subtypes:
            picture = workdir.saliency_panel(subtype)
            folders.make(picture.parent)
            atomic.delete(picture)
            if subtype in result.panels:
                atomic.write_bytes(picture, pictures.png(result.panels[subtype]))
        workdir.write_saliency(result.saliency)
    return result.saliency


def explain(
    model: restore.Trained,
    slices: datasets.Slices,
    holdout: Predictions,
    cohort: Path,
    *,
    digest: str,
    seed: int,
    resamples: int,
) -> Explanation:
    """Measures the maps of every subtype.

    Args:
        model: to explain.
        slices: the dataset.
        holdout: predictions of the hold-out's slices.
        cohort: the synthetic cohort, with its masks.
        digest: SHA-256 of the predictions; the report compares it with its own.
        seed: of noise, random parameters and resampling.
        resamples: of patients.

    Raises:
        FileNotFoundError: the cohort has no masks.
        ValueError: the model reads several slices.
    """
    if slices.input_shape != slices.image_shape or model.config.backbone:
        raise ValueError(
            "config.adjacent, config.backbone: only models that read a single slice have maps, "
            "without a backbone of another experiment"
        )
    row = {str(name): number for number, name in enumerate(slices.image)}
    lesions = lesion_masks(cohort, holdout.image, partial(_as_stored, slices, row))
    key = stream(jax.random.key(seed), "saliency")
    network = backbone.network(model.config, slices.input_shape).task
    random = saliency.randomised(model.params, network.init(stream(key, "random")))
    maps = _maps(saliency.gradient(network.logits), stream(key, "saliency noise"))

    subtypes: dict[Any, SubtypeMaps | None] = {}
    panels: dict[str, NDArray[np.uint8]] = {}
    for label, subtype in enumerate(LABELS[1:], start=1):
        eligible = [
            at
            for at, name in enumerate(holdout.image.tolist())
            if holdout.truth[at, label] and name in lesions and lesions[name][label - 1].any()
        ]
        if not eligible:
            subtypes[subtype] = None
            continue
        chosen = np.random.default_rng([seed, label]).permutation(eligible)[:MOST]
        names = holdout.image[chosen].tolist()
        hu = slices.hu(np.array([row[name] for name in names]))
        lesion = np.stack([lesions[name][label - 1] for name in names])
        measured = _Slices(hu, lesion, saliency.head(hu), holdout.patient[chosen])
        subtypes[subtype], panels[subtype] = _measure(
            *(model.params, random, maps, label, measured, len(eligible)),
            partial(saliency.clustered_mean, resamples=resamples, seed=seed),
        )
    return Explanation(
        Saliency(
            model=model.name,
            predictions=digest,
            slices=RULE,
            samples=SAMPLES,
            noise_hu=NOISE,
            seed=seed,
            resamples=resamples,
            subtypes=subtypes,
            round=model.round,
        ),
        panels,
    )


def _as_stored(
    slices: datasets.Slices, row: dict[str, int], image: str, picture: NDArray[np.int16]
) -> NDArray[np.int16]:
    """A picture on its file's grid, on the grid of the slice in the dataset."""
    size = slices.image_shape[0]
    if not slices.spacing_mm:
        return resize(picture, size, (float("nan"), float("nan")))
    rows, columns, down, right, *centre = (
        float(slices.extent[name][row[image]]) for name in datasets.EXTENT
    )
    spacing = (rows * down / picture.shape[0], columns * right / picture.shape[1])
    return resample(picture, size, spacing, slices.spacing_mm, Centre(*centre))


def lesion_masks(
    cohort: Path,
    images: NDArray[np.str_],
    as_stored: Callable[[str, NDArray[np.int16]], NDArray[np.int16]],
) -> dict[str, NDArray[np.bool_]]:
    """Reads the drawn lesions of a synthetic cohort, at the size that the model reads.

    Args:
        cohort: folder of `launch.make_phantom`.
        images: names of the slices.
        as_stored: `(image, int16 picture on the file's grid) -> int16[H, W]` as the model reads it.

    Returns:
        bool[5, H, W] by image, in the order of `LABELS[1:]`: at least half of the pixel is lesion.
        Images without a lesion are absent.

    Raises:
        FileNotFoundError: the cohort has no masks.
    """
    paths = sorted((cohort / "truth" / "masks").glob("*.npz"))
    if not paths:
        raise FileNotFoundError(
            f"{cohort}/truth/masks has no masks: lesions are known for cohorts of launch.make_phantom only"
        )
    wanted, masks = set(images.tolist()), {}
    for path in paths:
        file = read_npz(path)
        if file.keys() != {"images", "subtypes"} or file["subtypes"].dtype != np.uint8:
            raise ValueError(f"{path}: is no file of masks; make the cohort again")
        for name, bits in zip(file["images"].tolist(), file["subtypes"], strict=True):
            if name in wanted and bits.any():
                planes = [1000 * (bits >> n & 1).astype(np.int16) for n in range(5)]
                masks[name] = np.stack([as_stored(name, plane) for plane in planes]) >= 500
    return masks


def _maps(slope: saliency.Gradient, key: jax.Array) -> Maps:
    def maps(params: Params, hu: NDArray[np.int16], label: int) -> NDArray[np.float32]:
        """In batches of one shape, so that one program is compiled."""
        padded = np.concatenate([hu, np.repeat(hu[-1:], -len(hu) % BATCH, 0)])
        parts = [
            saliency.smooth_grad(
                *(slope, params, padded[at : at + BATCH], label, key), samples=SAMPLES, noise=NOISE
            )
            for at in range(0, len(padded), BATCH)
        ]
        return np.concatenate(parts)[: len(hu)]

    return maps


def _measure(
    params: Params,
    random: dict[str, Params],
    maps: Maps,
    label: int,
    slices: _Slices,
    fit: int,
    clusters: Callable[..., Any],
) -> tuple[SubtypeMaps, NDArray[np.uint8]]:
    """Measures one subtype, and draws its panel."""

    def mean(values: NDArray[Any], patient: NDArray[Any]) -> Interval:
        return Interval(*clusters(values, patient))

    hu, lesion, head, patient = slices
    trained = maps(params, hu, label)
    share, chance = saliency.share_inside(trained, lesion, head)
    checked = slice(0, CHECKED)
    other = {part: maps(changed, hu[checked], label) for part, changed in random.items()}
    blind, _ = saliency.share_inside(other["all"], lesion[checked], head[checked])
    measured = SubtypeMaps(
        fit=fit,
        slices=len(hu),
        patients=int(np.unique(patient).size),
        share=mean(share, patient),
        chance=mean(chance, patient),
        difference=mean(share - chance, patient),
        checked_slices=len(blind),
        checked_share=mean(share[checked], patient[checked]),
        random_share=mean(blind, patient[checked]),
        correlation={
            part: mean(
                saliency.similarity(
                    trained[checked], one, head[checked] & (trained[checked] + one > 0)
                ),
                patient[checked],
            )
            for part, one in other.items()
        },
    )
    _, first = np.unique(patient[checked], return_index=True)
    shown = np.sort(first)[:SHOWN]
    return measured, _panel(hu[shown], lesion[shown], trained[shown], other["all"][shown])


def _panel(hu: Any, lesion: Any, trained: Any, random: Any) -> NDArray[np.uint8]:
    """A column a slice; rows: brain window, the same with the lesion's outline, both maps with it."""

    def scaled(maps: Any) -> Any:
        top = np.quantile(maps, 0.995, axis=(1, 2), keepdims=True)
        return 255 * np.clip(maps / np.maximum(top, 1e-30), 0, 1)

    edge = lesion ^ ndimage.binary_erosion(lesion, np.ones((1, 3, 3)))
    grey = np.stack([pictures.windowed(one, DEFAULT_WINDOWS[:1]) for one in hu])
    drawn = (grey, scaled(trained), scaled(random))
    rows = [grey, *(np.where(edge, 255, picture) for picture in drawn)]
    return np.concatenate([np.concatenate(list(row), axis=1) for row in rows]).astype(np.uint8)
