"""`Config` holds every setting of an experiment: its type, default, allowed values and meaning.

    python fl_jax/experiment/config.py

prints all fields. This file needs the standard library alone, so that the list of fields prints at once.
"""

import dataclasses
import difflib
import math
import textwrap
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple, get_type_hints

Layers = tuple[tuple[str, float], ...]
"""Pairs of a regular expression on a parameter's path and a factor of its learning rate."""
LONGEST = 4096
"""Characters of a text, such as a path."""


class Meta(NamedTuple):
    """Documentation and limits of a field.

    Attributes:
        group: heading under which the field is listed.
        doc: one line.
        low: smallest value.
        high: largest value.
        choices: allowed values; empty if `low` and `high` or the type decide.
        numbers: whether it changes what a training computes, rather than where, how fast or what for.
    """

    group: str
    doc: str
    low: float = -math.inf
    high: float = math.inf
    choices: tuple[Any, ...] = ()
    numbers: bool = True


def _field(group: str, default: Any, doc: str, **limits: Any) -> Any:
    return dataclasses.field(default=default, metadata={"meta": Meta(group, doc, **limits)})


_arm = partial(_field, "Arm")
_data = partial(_field, "Data")
_model = partial(_field, "Model")
_head = partial(_field, "Backbone")
_training = partial(_field, "Training")
_federation = partial(_field, "Federation")
_evaluation = partial(_field, "Evaluation", numbers=False)
_machine = partial(_field, "Machine", numbers=False)


@dataclasses.dataclass(frozen=True)
class Cohort:
    """The synthetic cohort, the default without `source` and `data_dir`."""

    seed: int = _data(0, "Seed of the patients.", low=0, high=2**63 - 1)
    scale: float = _data(1.0, "Number of patients, 1 being the demo's.", low=1e-3, high=1e4)
    matrix: int = _data(256, "Height and width of the DICOM images, pixels.", low=32, high=2048)
    family: str = _data(
        "standard",
        "Family of phantoms: standard, former or shifted, with groups of another one, such as "
        "'former, pose=standard'; see fl_jax/phantom/family.py.",
    )

    def __post_init__(self) -> None:
        _check_fields(self, "cohort.")


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of an experiment; creating one checks types, ranges and choices.

    Raises:
        ValueError: names the field, its value, and what is allowed.
    """

    seed: int = _arm(
        0, "Seed of partition, initial parameters, participation and order.", low=0, high=2**63 - 1
    )
    arm: str = _arm(
        "federated",
        "Which arm launch.train trains; launch.experiment trains all of them.",
        choices=("federated", "central", "local"),
    )
    site: str = _arm("", "Site of the local arm.")

    source: str = _data("", "Folder of DICOM files. Empty: the synthetic cohort.", numbers=False)
    source_layout: str = _data(
        "sites",
        "Layout of `source`: a folder per site, or the RSNA 2019 challenge's.",
        choices=("sites", "rsna"),
        numbers=False,
    )
    data_dir: str = _data("", "Prepared dataset. Empty: WORKDIR/data.", numbers=False)
    image_size: int = _data(256, "Height and width of a prepared slice, pixels.", low=4, high=4096)
    spacing_mm: float = _data(
        0.0,
        "Resamples slices to so many mm a pixel, centred on the head; 0: fits each file's whole field "
        "of view into the image.",
        low=0,
        high=100,
    )
    intensity: str = _data(
        "none",
        "HU of the brain: none as stored; study shifts each DICOM study so that its brain has 32 HU.",
        choices=("none", "study"),
    )
    max_refused: float = _data(0.01, "Largest share of files that may be refused.", low=0, high=1)
    partition: str = _data(
        "natural()",
        "Scheme that assigns patients to sites, of fl_jax/data/partition/schemes, such as "
        "'dirichlet(sites=5, alpha=0.5)'. The site `holdout` is never trained on.",
    )
    fractions: tuple[float, ...] = _data(
        (0.7, 0.15, 0.15), "Shares of a site's patients in train, validation and test; sum to 1."
    )
    stratify: str = _data(
        "greedy",
        "How labels are balanced over the splits; exchange then swaps patients while that helps.",
        choices=("greedy", "exchange"),
    )
    folds: int = _data(1, "Folds of a cross-validation; 1: a single split.", low=1, high=2**20)
    fold: int = _data(0, "Which fold is the test split, below `folds`.", low=0, high=2**20)
    memory_limit: float = _data(
        4.0,
        "GiB of pixels kept in memory; a larger dataset streams from disk, in the same batches.",
        low=0,
        numbers=False,
    )
    cohort: Cohort = dataclasses.field(
        default_factory=Cohort, metadata={"meta": Meta("Data", "The synthetic cohort.")}
    )

    adjacent: int = _model(
        1, "Slices per example: 3 adds the slices below and above.", choices=(1, 3)
    )
    windows: tuple[str, ...] = _model(
        ("brain", "subdural", "soft_tissue"), "CT windows, each a channel of each slice."
    )
    model: str = _model("resnet()", "Model, a call of fl_jax/models.")
    pretrained: str = _model("", "Weights in PyTorch's layout, a .safetensors or .pth file.")
    pretrained_digest: str = _model(
        "", "At least eight digits of the file's SHA-256, unless its name contains them."
    )
    pretrained_head: str = _model(
        "new",
        "Last layer: newly initialised, or kept from the file, which must have the same labels.",
        choices=("new", "keep"),
    )
    pretrained_channels: str = _model(
        "same",
        "The file's input channels, or repeated to match other windows.",
        choices=("same", "repeat"),
    )
    trainable: str = _model(
        "",
        "Regular expression on the paths of trainable parameters, such as '^fc/'; the others stay "
        "at their values in `pretrained` or `backbone` and are not sent. Empty: all.",
    )
    cached_features: bool = _model(
        False, "Compute a frozen backbone's features once; needs no augmentation."
    )
    layer_rates: tuple[tuple[str, float], ...] = _model(
        (), "Factors of the learning rate by path, such as (('^(conv1|bn1)', 0.1),)."
    )
    statistics: str = _model(
        "frozen",
        "BatchNorm statistics: frozen as pretrained; aggregate pools the sites' moments; local "
        "keeps each site's; naive averages variances; recompute is aggregate, then a pass over all "
        "training slices after the last round.",
        choices=("frozen", "aggregate", "local", "naive", "recompute"),
    )
    remat: bool = _model(
        False, "Recompute blocks in the backward pass: less memory; no use on CPU."
    )

    backbone: str = _head(
        "",
        "Workdir of a finished experiment whose models are trained on, with `trainable`, or give a "
        "slice's features to a model 'study_head(...)'; there, with `pretrained`, a model's call.",
    )
    backbone_model: str = _head(
        "own",
        "Model of that workdir: own for the same arm's, or one for all arms, such as federated.",
    )
    study_weight: float = _head(
        0.5, "Weight of the study's loss, added to the mean over its slices.", low=0, high=1e9
    )
    slices_at_once: int = _head(
        32, "Slices whose activations are in memory together, with `trainable`.", low=1, high=2**20
    )

    optimizer: str = _training(
        "adam(3e-4)",
        "Client optimiser, a call of optax; its rate may be a schedule, which counts the steps of "
        "the optimiser's state: 'sgd(cosine_decay_schedule(0.1, 500))'.",
    )
    round_schedule: str = _training(
        "",
        "Factor of the rate by round, the same in every arm, such as "
        "'cosine_decay_schedule(1.0, rounds)'; void rounds do not count. Empty: 1.",
    )
    batch_size: int = _training(16, "Examples per local step.", low=1, high=2**20)
    accumulate: int = _training(
        1,
        "Micro-batches per step, which must divide the batch: less memory, the same step.",
        low=1,
        high=2**20,
    )
    max_degrees: float = _training(
        20.0, "Random rotation up to this angle, degrees.", low=0, high=180
    )
    flip: bool = _training(True, "Random horizontal flip.")
    zoom: float = _training(
        0.0, "Random scale between 1 - zoom and 1 + zoom; 0.15 is 0.85 to 1.15.", low=0, high=0.5
    )
    shift: float = _training(
        0.0, "Random shift up to this share of the image, along each axis.", low=0, high=0.5
    )
    hu_offset: float = _training(
        0.0, "HU added to an image: uniform between -hu_offset and hu_offset.", low=0, high=1000
    )
    hu_gain: float = _training(
        0.0,
        "HU are multiplied by a factor between 1 - hu_gain and 1 + hu_gain; water stays 0.",
        low=0,
        high=0.5,
    )
    blur: float = _training(
        0.0,
        "Half of the images are blurred: a Gaussian's standard deviation of up to so many pixels.",
        low=0,
        high=3,
    )
    noise: float = _training(
        0.0,
        "Added noise: a standard deviation of up to so many HU, correlated as in CT.",
        low=0,
        high=1000,
    )
    mixup: float = _training(0.0, "Alpha of mixup (Zhang 2018); 0: none.", low=0, high=100)
    loss: str = _training(
        "cross_entropy()",
        "Loss, a call of fl_jax/tasks/losses, such as 'focal(gamma=2.0)' or "
        "'cross_entropy(label_weights=(2, 1, 1, 1, 1, 1), smoothing=0.05)'.",
    )
    positive_weight_ceiling: float = _training(
        10.0, "Largest weight of a positive; 1: unweighted.", low=1, high=1e9
    )
    sampling: str = _training(
        "natural",
        "Balanced draws half of the examples without a bleed and half with, its subtypes in turn; "
        "set positive_weight_ceiling to 1.",
        choices=("natural", "balanced"),
    )
    ema: float = _training(
        0.0, "Decay of the server's averaged model, which predicts; 0: none.", low=0, high=1 - 1e-9
    )
    test_flip: bool = _training(False, "Average the logits of a slice and its mirror image.")

    algorithm: str = _federation(
        "fed_avg(keep_optimizer=True)",
        "Algorithm of the federated arm, a call of fl_jax/algorithms; keep_optimizer carries Adam's "
        "moments over from round to round, as the published study does.",
    )
    aggregator: str = _federation(
        "weighted_mean()", "How messages become one, a call of fl_jax/aggregators."
    )
    weighting: str = _federation(
        "examples",
        "Weight of a site: by its examples, or equal for all; see fl_jax/core/weighting.py.",
        choices=("examples", "equal"),
    )
    layout: str = _federation(
        "auto",
        "How a round runs on the devices; the numbers are the same.",
        choices=("auto", "sequential", "vmapped", "mesh"),
    )
    rounds: int = _federation(10, "Rounds.", low=1, high=10**6)
    epochs: float = _federation(
        3.0, "Local epochs per round; 0.5 is half of a site's slices.", low=1e-9, high=1e6
    )
    min_sites: int = _federation(
        4,
        "Fewest sites of a round; their number is drawn from here to all. 0: always all.",
        low=0,
        high=2**31 - 1,
    )
    faults: tuple[str, ...] = _federation(
        (), "Simulated faults, calls of fl_jax/faults, such as ('absent(2, share=0.3)',)."
    )
    void_rounds: str = _federation(
        "skip",
        "What follows a round with fewer than min_sites messages, or a result that is not finite.",
        choices=("skip", "stop"),
    )
    local_budget: str = _federation(
        "examples",
        "A local model sees as many examples as the federated one, or as many epochs.",
        choices=("examples", "epochs"),
    )

    resamples: int = _evaluation(1000, "Bootstrap resamples of patients.", low=1, high=10**6)
    margin: float = _evaluation(0.02, "Non-inferiority margin of AUROC.", low=1e-9, high=1)
    survey: str = _evaluation(
        "", "CSV of answers to fl_jax/report/questionnaire.csv, one row per respondent."
    )

    jobs: int = _machine(0, "Trainings in parallel; 0: as many as fit.", low=0, high=2**16)
    threads: int = _machine(
        1,
        "CPU threads per training; 0: all cores. XLA sums a convolution's gradient by thread, so "
        "another number may change the last bits.",
        low=0,
        high=2**16,
        numbers=True,
    )
    checkpoint_every: int = _machine(
        1, "Rounds between checkpoints; the last round is always saved.", low=1, high=2**31 - 1
    )
    tracker: str = _machine(
        "tensorboard",
        "Where metrics go, in addition to metrics.jsonl.",
        choices=("tensorboard", "mlflow", "wandb", "none"),
    )

    def __post_init__(self) -> None:
        _check_fields(self)

    @classmethod
    def of(cls, values: Any) -> "Config":
        """Makes a `Config` and checks everything that can be known before any work.

        Beyond types and ranges, every spec is built, the model's shapes are traced, and fields that
        exclude each other are refused.

        Args:
            values: by name, such as a `ConfigDict`; missing fields have their defaults.

        Raises:
            ValueError: one line that names the field, its value, and what is allowed.
        """
        from fl_jax.experiment.rules import check

        config = cls.parse(values)
        check(config)
        return config

    @classmethod
    def parse(cls, values: Any) -> "Config":
        """`of` without building anything: names, types, ranges and choices alone are checked."""
        values = dict(values)
        for name in values:
            check_name(name)
        return cls(**values)

    def replace(self, **changes: Any) -> "Config":
        """A copy with other values, checked as by `parse`."""
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """All fields by name, as JSON values."""
        return {name: _plain(getattr(self, name)) for name in FIELDS}

    def numbers(self) -> dict[str, Any]:
        """The fields that decide what a training computes, as `to_dict`."""
        return {k: v for k, v in self.to_dict().items() if FIELDS[k].numbers}

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of the input of a model of slices: (H, W), or (3, H, W) with adjacent slices."""
        around = (self.adjacent,) if self.adjacent > 1 else ()
        return (*around, self.image_size, self.image_size)

    @property
    def reads_studies(self) -> bool:
        """Whether the model is a head that reads a study's slices, rather than a model of slices."""
        return bool(self.backbone) and self.model.lstrip().startswith("study_head")

    @property
    def arm_name(self) -> str:
        """`federated`, `central` or `local_<site>`.

        Raises:
            ValueError: for a local arm without a site.
        """
        if self.arm != "local":
            return self.arm
        if not self.site:
            raise ValueError("config.site='': the local arm needs a site; add --config.site=SITE")
        return f"local_{self.site}"


FIELDS: Mapping[str, Meta] = {f.name: f.metadata["meta"] for f in dataclasses.fields(Config)}
COHORT: Mapping[str, Meta] = {f.name: f.metadata["meta"] for f in dataclasses.fields(Cohort)}


def config_dict() -> Any:
    """The defaults as an `ml_collections.ConfigDict`, which `configs/*.py` change."""
    from ml_collections import ConfigDict

    values = {name: getattr(Config(), name) for name in FIELDS}
    cohort = ConfigDict(dataclasses.asdict(values.pop("cohort")))
    return ConfigDict(values | {"cohort": cohort})


def check_name(name: str) -> None:
    """Checks that a name is a field, such as `rounds` or `cohort.seed`.

    Raises:
        ValueError: it is not; suggests a similar one.
    """
    known = [*FIELDS, *(f"cohort.{name}" for name in COHORT)]
    if name not in known:
        name = str(name)[:100]
        near = difflib.get_close_matches(name, known, n=1)
        meant = f"did you mean config.{near[0]}?" if near else "--helpfull lists all fields"
        raise ValueError(f"config.{name}: there is no such field; {meant}")


def allowed(name: str) -> str:
    """The values that a field allows, in words: `int in 1..1048576`."""
    meta, kind = _entry(name)
    if meta.choices:
        return " | ".join(map(str, meta.choices))
    if kind in (int, float):
        bounds = [f"{x:.10g}" if abs(x) < 2**31 - 1 else "" for x in (meta.low, meta.high)]
        return f"{kind.__name__} in {'..'.join(bounds)}" if any(bounds) else kind.__name__
    return {
        str: "text",
        bool: "True | False",
        tuple[str, ...]: "tuple of texts",
        tuple[float, ...]: "tuple of numbers",
        Layers: "tuple of (regular expression, factor)",
        Cohort: "fields of the cohort",
    }[kind]


def _entry(name: str) -> tuple[Meta, Any]:
    group, _, inner = name.rpartition(".")
    metas, owner = (COHORT, Cohort) if group == "cohort" else (FIELDS, Config)
    return metas[inner], get_type_hints(owner)[inner]


def _check_fields(config: Any, prefix: str = "") -> None:
    """Checks and normalises the fields of a new dataclass."""
    for name, kind in get_type_hints(type(config)).items():
        value = getattr(config, name)
        converted: Any = _cast(value, kind)
        meta: Meta = type(config).__dataclass_fields__[name].metadata["meta"]
        if converted is None or not _is_allowed(meta, converted):
            near = difflib.get_close_matches(str(value)[:40], [str(c) for c in meta.choices], n=1)
            meant = f"; did you mean {near[0]}?" if near else ""
            must = allowed(f"{prefix}{name}")
            if type(value) is str is kind and not meta.choices:
                must = f"at most {LONGEST} printable characters"
            shown = " ".join(repr(value).split())[:300]
            raise ValueError(f"config.{prefix}{name}={shown}: must be {must}{meant}")
        object.__setattr__(config, name, converted)


def _is_allowed(meta: Meta, value: Any) -> bool:
    if meta.choices:
        return value in meta.choices
    return not isinstance(value, (int, float)) or meta.low <= value <= meta.high


def _cast(value: Any, kind: Any) -> Any:
    """Converts a value to the field's type; None if it does not fit."""
    if kind is Cohort and not isinstance(value, Cohort | str) and hasattr(value, "items"):
        for name in dict(value):
            check_name(f"cohort.{name}")
        return Cohort(**dict(value))
    if kind is float and type(value) is int and abs(value) < 2**63:
        return float(value)
    if isinstance(kind, type):
        printable = type(value) is not str or (len(value) <= LONGEST and value.isprintable())
        return value if type(value) is kind and printable and value == value else None  # not NaN
    if not isinstance(value, tuple | list):
        return None
    inner = [_pair(x) if kind == Layers else _cast(x, kind.__args__[0]) for x in value]
    return None if None in inner else tuple(inner)


def _pair(value: Any) -> tuple[str, float] | None:
    if not isinstance(value, tuple | list) or len(value) != 2:
        return None
    path, factor = _cast(value[0], str), _cast(value[1], float)
    return None if path is None or factor is None else (path, factor)


def _plain(value: Any) -> Any:
    if isinstance(value, Cohort):
        return dataclasses.asdict(value)
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def rows() -> Iterator[tuple[str, str, str, str, str]]:
    """Group, name, default, what is allowed, and meaning of each field, the cohort's included."""
    for name, meta in FIELDS.items():
        if name == "cohort":
            for inner, of_cohort in COHORT.items():
                dotted = f"cohort.{inner}"
                default = repr(getattr(Cohort(), inner))
                yield meta.group, dotted, default, allowed(dotted), of_cohort.doc
        else:
            default = repr(getattr(Config(), name))
            yield meta.group, name, default, allowed(name), meta.doc


def describe() -> str:
    """All fields for a terminal."""
    lines, last = [], ""
    for group, name, default, values, doc in rows():
        if group != last:
            lines += ["", f"{group}:"]
        lines.append(f"  --config.{name}={default}  ({values})")
        lines += textwrap.wrap(doc, 96, initial_indent=" " * 6, subsequent_indent=" " * 6)
        last = group
    return "\n".join(lines[1:])


def markdown() -> str:
    """All fields as tables of Markdown, one a group, for configs/README.md."""
    lines, last = [], ""
    for group, name, default, values, doc in rows():
        if group != last:
            lines += [
                "",
                f"**{group}**",
                "",
                "| field | default | allowed | |",
                "|---|---|---|---|",
            ]
        cells = (f"`{name}`", f"`{default}`", values, doc)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        last = group
    return "\n".join(lines[1:])


if __name__ == "__main__":
    print(describe())
