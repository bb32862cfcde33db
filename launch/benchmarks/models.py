"""The cost of prediction and training step of each model at 256 pixels, against the same model in PyTorch.

The floor is the model of `tests/torch_models.py`, interleaved in the same process, if torch can be imported;
else fl_jax itself.
"""

import importlib
import importlib.util
import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from fl_jax.algorithms.fed_avg import fed_avg
from fl_jax.core import spec
from fl_jax.core.types import LABELS, Batch
from fl_jax.data import windows
from fl_jax.data.augmentation import augment
from fl_jax.experiment import machine
from fl_jax.tasks.multi_label import multi_label
from fl_jax.tasks.task import Task
from fl_jax.wrappers.batch_stats import federated_batch_stats
from launch.benchmarks import measure, table
from launch.benchmarks.cases import select

PIXELS, RATE = 256, 3e-4
PRODUCT = {"cpu": 1536}
"""Rows of the square matrices whose product is timed; elsewhere `LARGE`."""
LARGE = 8192
LARGER = 16
"""How many times the batch an accelerator gets."""
_HEAD = ("", "ms", "x PyTorch", "range", "images/s", "of product %", "temp MB", "compile s", "")
_COUNTS = ("", "parameters", "published", "10^9 products", "published", "")


class Model(NamedTuple):
    """A line of the table.

    Attributes:
        name: what `--models` looks in.
        made: as in `config.model`, without labels and dtype.
        peer: class of `tests.torch_models` and its arguments before the labels.
        batch: B on CPU.
        parameters: published, for 1000 labels; None where nothing is.
        products: published, 10^9 multiply-adds of an image of 224 pixels.
    """

    name: str
    made: str
    peer: tuple[Any, ...]
    batch: int
    parameters: int | None = None
    products: float | None = None


_RESNET18 = ("ResNet", (2, 2, 2, 2), False, 1, 64, False)
_RESNET34 = ("ResNet", (3, 4, 6, 3), False, 1, 64, False)
_RESNET50 = ("ResNet", (3, 4, 6, 3), True, 1, 64, False)
_RESNEXT50 = ("ResNet", (3, 4, 6, 3), True, 32, 4, False)
_RESNEXT101 = ("ResNet", (3, 4, 23, 3), True, 32, 8, False)
_SE_RESNEXT50 = ("ResNet", (3, 4, 6, 3), True, 32, 4, True)
_DENSENET121, _DENSENET169 = ("DenseNet", (6, 12, 24, 16)), ("DenseNet", (6, 12, 32, 32))
_CONVNEXT = ("ConvNeXt", (3, 3, 9, 3), (96, 192, 384, 768))
MODELS = (  # torchvision's tables; SE-ResNeXt: Hu et al., CVPR 2018
    Model("demo's ResNet", "resnet()", ("SmallResNet",), 16),
    Model("ResNet-18", "deep_resnet(18)", _RESNET18, 8, 11_689_512, 1.81),
    Model("ResNet-34", "deep_resnet(34)", _RESNET34, 8, 21_797_672, 3.66),
    Model("ResNet-50", "deep_resnet(50)", _RESNET50, 4, 25_557_032, 4.09),
    Model("ResNeXt-50 32x4d", "resnext(50)", _RESNEXT50, 4, 25_028_904, 4.23),
    Model("ResNeXt-101 32x8d", "resnext(101, 32, 8)", _RESNEXT101, 2, 88_791_336, 16.41),
    Model("SE-ResNeXt-50 32x4d", "se_resnext(50)", _SE_RESNEXT50, 4, 27_559_896, 4.25),
    Model("DenseNet-121", "densenet(121)", _DENSENET121, 4, 7_978_856, 2.83),
    Model("DenseNet-169", "densenet(169)", _DENSENET169, 4, 14_149_480, 3.36),
    Model("ConvNeXt-T", "convnext()", _CONVNEXT, 4, 28_589_128, 4.46),
)


def run(options: Any) -> dict[str, Any]:
    """Measures the models that `options.models` selects with `repetitions` and `threads`."""
    machine.use_threads(options.threads)
    chosen = select("models", options.models, MODELS)
    on_cpu = jax.default_backend() == "cpu"
    peer = on_cpu and importlib.util.find_spec("torch") is not None
    torch = importlib.import_module("torch") if peer else None
    if torch is not None and options.threads:
        torch.set_num_threads(options.threads)
    if torch is None:
        print("no PyTorch: ratios are to fl_jax itself", flush=True)
    dtype = "float32" if on_cpu else "bfloat16"
    lines = [measured(model, dtype, torch, options.repetitions) for model in chosen]
    rows = [
        [line["model"], *_counts(line["parameters"], line["products"], *line["published"]), ""]
        for line in lines
    ]
    print(table.text("counts: 1000 labels, 224 pixels", _COUNTS, rows), flush=True)
    version = None if torch is None else f"torch {torch.__version__}"
    figures = {"pixels": PIXELS, "dtype": dtype, "peer": version, "threads": options.threads}
    return figures | {"models": lines}


def measured(model: Model, dtype: str, torch: Any, repetitions: int) -> dict[str, Any]:
    """Measures one model and prints its table."""
    batch = model.batch if jax.default_backend() == "cpu" else LARGER * model.batch
    parameters, products = counts(model)
    made = build(model, len(LABELS), dtype)
    generator = np.random.default_rng(0)
    images = generator.random((batch, PIXELS, PIXELS, 3), np.float32)
    hu = generator.integers(-100, 200, images.shape[:-1], np.int16)
    labels = (generator.random((batch, len(LABELS))) < 0.3).astype(np.float32)
    example = Batch(images, labels, np.ones(batch, np.float32))

    job = learned(made, images)
    params = jax.jit(job.init)(jax.random.key(0))
    predict = partial(jax.jit(job.logits), params, images)
    train = {"fl_jax": stepping(job, params, example)}
    prepare = jax.jit(lambda key, hu: windows.channels(augment(key, hu)))
    train["windows"] = partial(prepare, jax.random.key(2), hu)
    product = {"matrix product": multiplying(dtype)}
    peers = _peers(torch, model, example)
    compare = partial(measure.compare, repetitions=repetitions, hopeless=math.inf)
    figures = {
        "predict": compare(peers[0] or predict, {"fl_jax": predict} | product),
        "train": compare(peers[1] or train["fl_jax"], train | product),
    }
    flops = 2e9 * count(made, (batch, PIXELS, PIXELS, 3))[1]
    work = {"predict": flops, "train": 3 * flops}
    lines: dict[str, Any] = {}
    for part, taken in figures.items():
        rate = 2 * _rows() ** 3 / taken["matrix product"].seconds
        lines[part] = {name: took._asdict() for name, took in taken.items()}
        for name in ("floor", "fl_jax"):
            seconds = taken[name].seconds
            lines[part][name]["images_per_second"] = batch / seconds
            lines[part][name]["product_share"] = work[part] / seconds / rate
    before = figures["train"]["windows"].seconds
    share = before / (before + figures["train"]["fl_jax"].seconds)
    rows = [
        _row(f"{part}: {name}", line) for part, each in lines.items() for name, line in each.items()
    ]
    print(table.text(f"{model.name}: {batch} images of {PIXELS} px", _HEAD, rows))
    print(f"windows, turns and flips: {100 * share:.2f} % of a step", flush=True)
    return {
        "model": model.name,
        "batch": batch,
        "parameters": parameters,
        "products": products,
        "published": (model.parameters, model.products),
        "windows_share": share,
        **lines,
    }


def build(model: Model, labels: int, dtype: str = "float32") -> Any:
    """The Flax module."""
    arguments = model.made.removesuffix(")") + (", " if not model.made.endswith("()") else "")
    kind = f", dtype={dtype!r}" if dtype != "float32" and model.parameters else ""
    return spec.build(f"{arguments}labels={labels}{kind})", "fl_jax.models")


def counts(model: Model) -> tuple[int, float]:
    """Parameters and 10^9 multiply-adds of an image, as the papers count: 1000 labels, 224 pixels."""
    return count(build(model, 1000), (1, 224, 224, 3))


def count(made: Any, shape: tuple[int, ...]) -> tuple[int, float]:
    """Parameters, and 10^9 multiply-adds of a prediction: half of XLA's operations, before it compiles."""
    images = jax.ShapeDtypeStruct(shape, jnp.float32)
    variables = jax.eval_shape(made.init, jax.random.key(0), images)
    analysis: Any = jax.jit(made.apply).lower(variables, images).cost_analysis()
    parameters = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(variables["params"]))
    return parameters, analysis["flops"] / 2e9


def learned(made: Any, images: np.ndarray) -> Task:
    """The task of a model; batch normalisation uses a batch's own moments."""
    variables: Any = jax.eval_shape(made.init, jax.random.key(0), images)
    return multi_label(made, images[:1], running="batch_stats" in variables)


def stepping(job: Task, params: Any, batch: Batch) -> measure.Work:
    """A client's step, which goes on from where it was."""
    algorithm = fed_avg(job.loss, optax.adam(RATE), keep_optimizer=True)
    if job.running:
        algorithm = federated_batch_stats(algorithm)
    server, site = algorithm.init_server(params), algorithm.init_site(params)
    local = algorithm.client.start(algorithm.broadcast(server), site, jax.random.key(1))
    step = jax.jit(algorithm.client.step, donate_argnums=0)
    local = jax.tree.map(jnp.copy, local)  # parameters are read elsewhere

    def work() -> Any:
        nonlocal local
        local = step(local, batch)
        return local

    return work


def multiplying(dtype: str) -> measure.Work:
    """The product of two square matrices."""
    sides = jax.random.normal(jax.random.key(3), (2, _rows(), _rows()), dtype)
    return partial(jax.jit(jnp.matmul), *sides)


def _rows() -> int:
    return PRODUCT.get(jax.default_backend(), LARGE)


def _peers(torch: Any, model: Model, batch: Batch) -> tuple[Any, Any]:
    """Prediction and training step in PyTorch; None without it."""
    if torch is None:
        return None, None
    theirs: Any = importlib.import_module("tests.torch_models")
    name, *arguments = model.peer
    made = getattr(theirs, name)(*arguments, labels=len(LABELS))
    made = made.to(memory_format=torch.channels_last)
    channels_first = np.moveaxis(np.asarray(batch.inputs), -1, 1)  # channels last in memory
    images = torch.from_numpy(channels_first)
    labels = torch.from_numpy(np.asarray(batch.labels))
    optimizer = torch.optim.Adam(made.parameters(), RATE)
    loss = torch.nn.BCEWithLogitsLoss()

    def predict() -> None:
        made.eval()
        with torch.inference_mode():
            made(images)

    def train() -> None:
        made.train()
        optimizer.zero_grad()
        loss(made(images), labels).backward()
        optimizer.step()

    return predict, train


def _row(name: str, line: dict[str, Any]) -> list[str]:
    images = f"{line['images_per_second']:,.1f}" if "product_share" in line else ""
    share = f"{100 * line['product_share']:.0f}" if "product_share" in line else ""
    return [
        name,
        f"{1000 * line['seconds']:,.1f}",
        *table.ratio(line),
        images,
        share,
        f"{line['temporary_bytes'] / 2**20:,.0f}",
        f"{line['compile_seconds']:.1f}",
        table.NOISE if name.endswith("floor") else "",
    ]


def _counts(
    parameters: int, products: float, known: int | None, known_products: float | None
) -> list[str]:
    published = "" if known is None else f"{known:,}"
    published_products = "" if known_products is None else f"{known_products:.2f}"
    return [f"{parameters:,}", published, f"{products:.2f}", published_products]
