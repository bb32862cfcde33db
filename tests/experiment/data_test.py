import dataclasses
import json

import jax
import numpy as np
import pytest

from configs import demo
from fl_jax.core.types import Batch
from fl_jax.data import slices as datasets
from fl_jax.evaluation import predictions
from fl_jax.experiment import data as experiment
from fl_jax.experiment import inputs
from fl_jax.experiment import model as backbone
from fl_jax.experiment import restore as trained
from fl_jax.experiment import setup as training
from fl_jax.files import atomic
from fl_jax.wrappers.ema import Averaged
from fl_jax.wrappers.recompute_batch_stats import layer_moments
from launch import train
from launch.cli import progress


@pytest.fixture
def config(slices, monkeypatch):
    """A study of the small dataset, which here needs no files."""
    monkeypatch.setattr(datasets, "load", lambda folder: slices)
    monkeypatch.setattr(datasets, "read_summary", lambda folder: {"digest": "1", "options": {}})
    config = demo.get_config()
    config.image_size = 8
    config.min_sites = 2
    return config


def divide(config, workdir, slices):
    said = []
    return experiment.partition(config, workdir, slices, said.append), said


def test_an_image_size_that_the_dataset_does_not_have(config, tmp_path):
    config.data_dir = "prepared"
    config.image_size = 96
    with pytest.raises(ValueError, match=r"image_size=96: prepared .* --config.image_size=8"):
        experiment.load(config, tmp_path)


def test_a_partition_is_made_once_and_anew_for_other_inputs(config, tmp_path, slices):
    first, _ = divide(config, tmp_path, slices)
    again, said = divide(config, tmp_path, slices)
    assert again.split.tolist() == first.split.tolist()
    assert not said
    config.fractions = (0.4, 0.3, 0.3)
    other, _ = divide(config, tmp_path, slices)
    assert (other.split == "train").sum() < (first.split == "train").sum()


@pytest.mark.parametrize("last", ["write_bytes", "write_json"])
def test_a_partition_that_was_cut_off_is_made_again(config, tmp_path, slices, monkeypatch, last):
    def killed(path, content):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(progress, last, killed)
        with pytest.raises(KeyboardInterrupt):
            divide(config, tmp_path, slices)
    _, said = divide(config, tmp_path, slices)
    assert not said  # that somebody wrote it by hand
    for name in ("partition.csv", "partition.json", "partition.png"):
        assert (tmp_path / name).stat().st_size


def test_sites_may_be_made(config, tmp_path, slices):
    config.partition = "iid(sites=4)"
    opened = experiment.load(config, tmp_path)
    names = ("site_1", "site_2", "site_3", "site_4")
    assert opened.arms["federated"].sites == opened.partition.sites == names
    for name, rows in zip(names, opened.arms["federated"].train, strict=True):
        assert set(opened.slices.site[rows]) == {name}
    assert set(slices.site) == {"a", "b", "c", "holdout"}  # the dataset's own are left alone
    assert (tmp_path / "partition.png").exists()
    config.folds, config.fold = 3, 1
    assert (experiment.load(config, tmp_path).partition.split == "test").sum() == 6
    config.partition = "chance()"
    with pytest.raises(ValueError, match=r"no 'chance' .*there are: acquisition"):
        experiment.load(config, tmp_path)


def test_trainings_keep_the_partition_that_they_began_with(config, tmp_path, slices):
    divide(config, tmp_path, slices)
    inputs.keep(config, tmp_path)
    config.seed = 1
    with pytest.raises(ValueError, match="use another --workdir"):
        divide(config, tmp_path, slices)


def test_a_partition_that_was_edited_is_kept_and_that_is_said(config, tmp_path, slices):
    divide(config, tmp_path, slices)
    path = tmp_path / "partition.csv"
    path.write_text(path.read_text().replace("p00,a,train", "p00,a,test"))
    edited = path.read_bytes()
    config.seed = 1
    _, said = divide(config, tmp_path, slices)
    assert "by hand" in said[0]
    assert path.read_bytes() == edited


@pytest.mark.parametrize("name", ["model", "optimizer", "algorithm", "aggregator", "layout"])
def test_a_misspelt_name_begins_no_run(config, tmp_path, name):
    config[name] = "mispelt()"
    with pytest.raises(ValueError, match="mispelt"):
        train.train(config, tmp_path, say=print)
    assert not list(tmp_path.glob("models/*/inputs.json"))


def test_central_and_local_models_are_trained_plainly_whatever_the_federation_does(
    config, tmp_path
):
    config.model = "resnet(widths=(4,), blocks=(1,), strides=(1,), stem=4)"
    config.algorithm = "ditto()"
    opened = experiment.load(config, tmp_path)
    personal, kept = {}, {}
    for name in ("federated", "central", "local_b"):
        arm = opened.arms[name]
        task, _ = training.task(config, tmp_path, opened, arm)
        _, state, personal[name] = training.federation(config, opened, arm, task)
        kept[name] = type(state.sites).__name__
    assert [name for name, made in personal.items() if made] == ["federated"]
    assert kept["federated"] == "Beside"
    assert kept["central"] == kept["local_b"] != "Beside"


def test_recomputed_statistics_are_of_the_arms_own_training_slices(config, tmp_path):
    config.model = "resnet(widths=(4,), blocks=(1,), strides=(1,), stem=4, norm='batch')"
    config.statistics = "recompute"
    opened, said = experiment.load(config, tmp_path), []
    arm = opened.arms["local_b"]
    task, slices = training.task(config, tmp_path, opened, arm)
    _, state, personal = training.federation(config, opened, arm, task)
    finish = training.finish(config, arm, task, slices, personal, said.append)
    assert finish is not None
    assert said == []
    finished = finish(state.server.params)["batch_stats"]["Norm_0"]["BatchNorm_0"]
    hu = slices.hu(arm.train[0])
    wanted = layer_moments(task.logits)(state.server.params, hu, np.ones(len(hu)))
    first = wanted["Norm_0", "BatchNorm_0"]
    np.testing.assert_allclose(finished["mean"], first.mean, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(finished["var"], first.square / first.n, rtol=1e-4, atol=1e-6)
    assert "recomputed in" in said[0]

    config.algorithm = "fed_bn()"
    with pytest.raises(ValueError, match=r"algorithm='fed_bn\(\)': sites have models of their own"):
        training.finish(config, arm, task, slices, lambda server, site: site)
    config.statistics = "aggregate"
    assert training.finish(config, arm, task, slices, personal) is None


def test_other_inputs_are_named(config, tmp_path, slices):
    divide(config, tmp_path, slices)
    inputs.keep(config, tmp_path)
    config.jobs = 7  # changes no number
    inputs.check(config, tmp_path)
    config.batch_size, config.threads = 3, 2
    with pytest.raises(ValueError, match="batch_size: 16 there, 3 now; threads: 1 there, 2 now"):
        inputs.check(config, tmp_path)


def test_a_run_from_before_there_were_threads_goes_on(config, tmp_path, slices):
    divide(config, tmp_path, slices)
    inputs.keep(config, tmp_path)
    path = tmp_path / "models" / "federated" / "inputs.json"
    kept = json.loads(path.read_text())
    assert kept.pop("threads") == 1
    path.write_text(json.dumps(kept))
    inputs.check(config, tmp_path)


def test_a_training_without_its_predictions_is_not_complete(config, tmp_path):
    (tmp_path / "models" / "federated").mkdir(parents=True)
    (tmp_path / "predictions").mkdir()
    assert not experiment.is_complete(config, tmp_path)
    done = {"predictions": ["federated", "personal"]}
    atomic.write_json(tmp_path / "models" / "federated" / "done.json", done)
    for name in done["predictions"]:
        assert not experiment.is_complete(config, tmp_path)
        (tmp_path / "predictions" / f"{name}.csv").touch()
    assert experiment.is_complete(config, tmp_path)


def test_the_layout_that_auto_takes_is_said(config, tmp_path):
    config.model = "resnet(widths=(4,), blocks=(1,), strides=(1,), stem=4)"
    assert config.layout == "auto"
    opened, said = experiment.load(config, tmp_path), []
    for name in ("federated", "central"):
        arm = opened.arms[name]
        training.federation(
            config, opened, arm, training.task(config, tmp_path, opened, arm)[0], said.append
        )
    assert said == ["layout mesh: 4 devices train 3 sites at the same time"]


class Records:
    """Pixels that are on disk, as far as anyone can tell."""

    def __init__(self, pixels):
        self._pixels = pixels

    def __getitems__(self, rows):
        return [{"hu": self._pixels[row]} for row in rows]


def test_a_dataset_over_the_memory_limit_stays_on_disk(config, tmp_path, slices, monkeypatch):
    on_disk = dataclasses.replace(slices, held=None, source=Records(slices.held))
    monkeypatch.setattr(datasets, "load", lambda folder: on_disk)
    gibibytes = slices.held.nbytes / 2**30
    config.memory_limit = gibibytes
    held = experiment.load(config, tmp_path).slices.held
    assert held is not None
    assert (held == slices.held).all()
    config.memory_limit = 0.99 * gibibytes
    assert experiment.load(config, tmp_path).slices.held is None


def test_a_model_may_read_three_slices_in_one_window(config, tmp_path):
    config.model = "resnet(widths=(4,), blocks=(1,), strides=(1,), stem=4)"
    config.adjacent, config.windows, config.rounds = 3, ("brain",), 1
    config.layout = "sequential"
    opened = experiment.load(config, tmp_path)
    task, _ = training.task(config, tmp_path, opened, opened.arms["central"])
    assert opened.slices.input_shape == (3, 8, 8)
    assert task.logits(task.init(opened.key), np.zeros((2, 3, 8, 8), np.int16)).shape == (2, 6)
    assert train.train(config, tmp_path, say=print)["rounds"] == 1
    config.adjacent = 5
    with pytest.raises(ValueError, match="adjacent=5: must be 1, or 3"):
        experiment.load(config, tmp_path)


OPTIONS = {
    **{"loss": "focal(gamma=1.0, smoothing=0.1)", "mixup": 0.4, "accumulate": 2, "test_flip": True},
    **{"sampling": "balanced", "ema": 0.5, "round_schedule": "linear_schedule(1.0, 0.2, rounds)"},
    "optimizer": "adam(warmup_cosine_decay_schedule(1e-4, 3e-2, 3, 40))",
}


@pytest.mark.slow
def test_a_run_with_all_options_goes_on_with_the_same_bits_and_predicts_as_it_was_validated(
    config, tmp_path, slices, monkeypatch
):
    config.update(model="mlp(6, widths=(4,))", rounds=3, epochs=1.0, layout="sequential")
    for folder in ("plain", "whole", "halves"):
        if folder == "whole":
            config.update(**OPTIONS)
        workdir = tmp_path / folder
        if folder == "halves":

            def stop(event):
                if event.get("record", {}).get("round") == 2:
                    raise InterruptedError

            with pytest.raises(InterruptedError):
                train.train(config, workdir, say=print, show=stop)
        train.train(config, workdir, say=print)
    files = {name: tmp_path / name / "predictions" / "federated.csv" for name in ("plain", "whole")}
    halves = tmp_path / "halves" / "predictions" / "federated.csv"
    assert files["whole"].read_bytes() == halves.read_bytes() != files["plain"].read_bytes()

    restored = trained.load(tmp_path / "whole", complain=pytest.fail)
    found = predictions.read(files["whole"])
    rows = [list(slices.image).index(name) for name in found.image[:5]]
    logits = restored.logits(restored.params, slices.held[rows])
    np.testing.assert_allclose(found.scores[:5], jax.nn.sigmoid(logits), rtol=1e-4)
    last = trained.load(tmp_path / "whole", checkpoint=3, complain=pytest.fail)
    assert jax.tree.structure(last.params) == jax.tree.structure(restored.params)

    kept = tmp_path / "plain" / "models" / "federated" / "inputs.json"  # as an older run has it
    older = {k: v for k, v in json.loads(kept.read_text()).items() if k not in inputs.BEFORE}
    kept.write_text(json.dumps(older))
    trained.load(tmp_path / "plain", complain=pytest.fail)
    config.update(demo.get_config())
    config.update(image_size=8, min_sites=2, model="mlp(6, widths=(4,))")
    config.update(rounds=3, epochs=1.0, layout="sequential")
    inputs.check(config, tmp_path / "plain")


def test_each_option_changes_what_it_is_for_and_nothing_else(config, tmp_path):
    config.model = "mlp(6, widths=(4,))"
    draw = np.random.default_rng(0)
    hu = draw.integers(-50, 150, (4, 8, 8)).astype(np.int16)
    labels = draw.integers(0, 2, (4, 6)).astype(np.float32)
    key = jax.random.key(1)

    def made():
        task = backbone.network(config, (8, 8)).task
        params = task.init(key)
        batch = Batch(hu, labels, np.ones(4, np.float32))
        found = {
            "loss": float(task.loss(params, batch, key)),
            "logits": np.asarray(task.logits(params, hu)).tolist(),
            "program": "custom_vjp" in str(jax.make_jaxpr(task.loss)(params, batch, key)),
            "sampling": experiment.load(config, tmp_path).arms["local_a"].balanced,
        }
        for arm in ("federated", "central"):
            state = training.start(config, arm, task, sites=1, key=key)[-1]
            found[arm] = type(state.server).__name__, len(jax.tree.leaves(state.sites))
        return found

    before, whole = made(), config.copy_and_resolve_references()
    changes = {
        ("loss", "focal()"): {"loss"},
        ("mixup", 1.0): {"loss"},
        ("test_flip", True): {"logits"},
        ("sampling", "balanced"): {"sampling"},
        ("ema", 0.9): {"federated", "central"},
        ("round_schedule", "constant_schedule(0.5)"): {"federated", "central"},
        ("accumulate", 2): {"program"},
    }
    for (name, value), what in changes.items():
        config.update(whole)
        config[name] = value
        after = made()
        assert {key for key in after if after[key] != before[key]} - {"loss"} == what - {"loss"}, (
            name
        )
        assert (after["loss"] == pytest.approx(before["loss"], rel=1e-5)) == ("loss" not in what), (
            name
        )


def test_options_that_do_not_go_together(config, tmp_path):
    config.model = "mlp(6, widths=(4,))"
    for name, value, said in (
        ("remat", True, r"mlp\(.* has no blocks to compute again"),
        ("mixup", 1e-3, "mixup=0.001: must lie in"),
        ("loss", "cross_entropy(label_weights=(1, 2))", "must be 6 numbers"),
        ("loss", "hinge()", "there are: cross_entropy, focal"),
    ):
        old, config[name] = config[name], value
        with pytest.raises(ValueError, match=said):
            backbone.network(config, (8, 8))
        config[name] = old
    task, key = backbone.network(config, (8, 8)).task, jax.random.key(0)
    for name, value, said in (
        ("round_schedule", "cosine()", "no schedule 'cosine'"),
        ("round_schedule", "constant_schedule(-1.0)", "round_schedule: its factors are"),
        ("algorithm", "cyclic()", "round_schedule: a chained algorithm"),
    ):
        config.round_schedule = "constant_schedule(1.0)"
        config[name] = value
        with pytest.raises(ValueError, match=said):
            training.start(config, "federated", task, sites=2, key=key)
    config.round_schedule, config.ema = "", 0.9
    _, _, state = training.start(config, "federated", task, sites=2, key=key)
    assert isinstance(state.server, Averaged)
    config.accumulate = 3
    with pytest.raises(ValueError, match="accumulate=3: must divide batch_size=16"):
        experiment.load(config, tmp_path)
