"""The JSON files of a workdir as structs."""

from typing import Annotated, Any, Literal

import msgspec

from fl_jax.core.types import LABELS
from fl_jax.evaluation.tissue import CM2, PERCENT

Count = Annotated[int, msgspec.Meta(ge=0)]
Amount = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
Subtype = Literal["epidural", "intraparenchymal", "intraventricular", "subarachnoid", "subdural"]
assert Subtype.__args__ == LABELS[1:]


class RoundRecord(msgspec.Struct, frozen=True):
    """A round of a training: a line of `metrics.jsonl`.

    Attributes:
        round: its number, from 1.
        loss: training loss, the mean over the accepted sites weighted by examples.
        examples: training examples that the participants processed.
        seconds: wall clock.
        images_per_second: `examples / seconds`.
        participants: sites that took part.
        site_loss: training loss by accepted site.
        left_out: sites whose message was not aggregated, with the reason.
        faults: sites that a simulated fault struck, by fault.
        void: whether the round was discarded for want of accepted sites.
        val_macro_auroc: of the validation patients; None where undefined.
        val_loss: of the validation patients.
    """

    round: Count
    loss: float | None = None
    examples: int | float | None = None
    seconds: float | None = None
    images_per_second: float | None = None
    participants: list[str] = []
    site_loss: dict[str, float | None] = {}
    left_out: dict[str, str] = {}
    faults: dict[str, list[str]] = {}
    void: bool = False
    val_macro_auroc: float | None = None
    val_loss: float | None = None


class Done(msgspec.Struct, frozen=True):
    """A finished training: `done.json`.

    Attributes:
        best_round: the round with the best validation figures, whose model predicted.
        best_val_macro_auroc: its validation macro AUROC.
        rounds: rounds trained.
        examples_seen: training examples processed.
        seconds: of all rounds.
        images_per_second: `examples_seen / seconds`.
        wall_seconds: of the last process, with compilation and prediction.
        parameters: of the model.
        predictions: names of the prediction files.
        device: number and kind.
    """

    best_round: Count | None = None
    best_val_macro_auroc: float | None = None
    rounds: Count | None = None
    examples_seen: Count | None = None
    seconds: float | None = None
    images_per_second: float | None = None
    wall_seconds: float | None = None
    parameters: Count | None = None
    predictions: list[str] = []
    device: str | None = None


class TrainingDomain(msgspec.Struct, frozen=True):
    """What an arm's training scans look like: `domain.json`.

    Attributes:
        dataset: digest of the training dataset.
        partition: digest of the partition.
        studies: measured, evenly spread over the training studies.
        of: training studies.
        ranges: 1st and 99th percentile over the studies, by the fields of `data.domain.Domain`; None if
            unknown in every study.
    """

    dataset: str | None
    partition: str | None
    studies: Count
    of: Count
    ranges: dict[str, tuple[float, float] | None]


class ReportConfig(msgspec.Struct, frozen=True):
    """The fields of a config that evaluation and report read."""

    seed: Count | None = None
    resamples: Count | None = None
    margin: float | None = None
    source: str | None = None
    data_dir: str | None = None
    survey: str | None = None
    algorithm: str | None = None


class Manifest(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was run, with what and where: `manifest.json`.

    Attributes:
        config: every field of the experiment's config.
        command: the command line.
        seed: the config's.
        started: UTC, ISO 8601.
        versions: by package.
        git: commit, with `-dirty` after local changes.
        machine: architecture and cores.
        device: of the trainings, number and kind.
        stages: seconds by stage.
        cpu_seconds: of all processes, by stage.
    """

    config: dict[str, Any] = {}
    command: str | None = None
    seed: Count | None = None
    started: str | None = None
    versions: dict[str, str] = {}
    git: str | None = None
    machine: str | None = None
    device: str | None = None
    stages: dict[str, float | None] = {}
    cpu_seconds: dict[str, float | None] = {}

    def __post_init__(self) -> None:
        try:
            msgspec.convert(self.config, ReportConfig)
        except msgspec.ValidationError as error:
            raise ValueError(f"config: {error}".replace(" - at", " at")) from None


class Inputs(msgspec.Struct, frozen=True):
    """The fields of `inputs.json` by which a report finds the dataset; `fl_jax.experiment` reads all.

    Attributes:
        backbone: workdir of the experiment that a head reads.
        dataset: digest and options of the dataset's summary.
    """

    backbone: str = ""
    dataset: tuple[str | None, dict[str, Any] | None] = (None, None)


class Interval(msgspec.Struct, frozen=True):
    """An estimate with its confidence limits; None where undefined."""

    estimate: float | None
    low: float | None
    high: float | None


class SubtypeMaps(msgspec.Struct, frozen=True):
    """Saliency maps of one subtype, see `fl_jax.experiment.explain`.

    Attributes:
        fit: slices with a lesion of this subtype.
        slices: slices measured.
        patients: of these slices.
        share: share of the map inside the lesion, in [0, 1].
        chance: the lesion's share of the head.
        difference: `share - chance`.
        checked_slices: slices on which random parameters were tried.
        random_share: `share` of the model whose parameters are all random.
        correlation: rank correlation with the map after randomising one part of the model, or `all`.
        checked_share: `share` on the checked slices.
    """

    fit: Count
    slices: Count
    patients: Count
    share: Interval
    chance: Interval
    difference: Interval
    checked_slices: Count
    random_share: Interval
    correlation: dict[str, Interval]
    checked_share: Interval | None = None

    def __post_init__(self) -> None:
        if "all" not in self.correlation:
            raise ValueError("correlation lacks all")


class Saliency(msgspec.Struct, frozen=True):
    """Where a model looks: `saliency.json`.

    Attributes:
        model: the arm whose model was explained.
        predictions: SHA-256 of its predictions.
        slices: which slices were measured, in words.
        samples: noisy copies of a slice.
        noise_hu: standard deviation of the noise, HU.
        seed: of noise, random parameters and resampling.
        resamples: of patients.
        subtypes: None for a subtype without a lesion.
        method: of the maps.
        round: of the model.
    """

    model: str
    predictions: str
    slices: str
    samples: Count
    noise_hu: float
    seed: Count
    resamples: Count
    subtypes: dict[Subtype, SubtypeMaps | None]
    method: str = "SmoothGrad"
    round: Count | None = None

    def __post_init__(self) -> None:
        parts = {tuple(row.correlation) for row in self.subtypes.values() if row is not None}
        if len(parts) > 1:
            raise ValueError("correlation has different parts for different subtypes")


class TissueTable(msgspec.Struct, frozen=True):
    """Amounts of tissue in the evaluated slices, measured once: `tissue.json`; see `evaluation.tissue`.

    Attributes:
        dataset: digest and options of the dataset whose pixels were measured.
        unit: of the amounts.
        image: names, each once.
        soft: soft tissue in each slice.
        bright: bright tissue in each slice.
    """

    dataset: tuple[str, dict[str, Any]]
    unit: str
    image: list[str]
    soft: list[Amount]
    bright: list[Amount]

    def __post_init__(self) -> None:
        if self.unit not in (CM2, PERCENT):
            raise ValueError(f"unit is neither {CM2!r} nor {PERCENT!r}")
        if not len({*self.image}) == len(self.image) == len(self.soft) == len(self.bright):
            raise ValueError(
                "image, soft and bright have different lengths, or an image is there twice"
            )
