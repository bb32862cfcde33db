import dataclasses

import jax
import numpy as np
import pytest
from reporters import Strict

from configs import ich_fed_avg
from fl_jax.core.types import Batch
from fl_jax.data import slices as datasets
from fl_jax.evaluation import predictions
from fl_jax.experiment import data, federation, inputs, restore, setup
from fl_jax.experiment import model as models
from fl_jax.experiment.config import Config
from fl_jax.experiment.reporter import Reporter
from fl_jax.experiment.run import run
from fl_jax.experiment.train import train_arm
from fl_jax.files import atomic
from fl_jax.workdir import Workdir
from fl_jax.wrappers.recompute_batch_stats import layer_moments


class Messages(Reporter):
    def __init__(self):
        self.texts = []

    def message(self, text):
        self.texts.append(text)


@pytest.fixture
def config(slices, monkeypatch):
    """A study of the small dataset, which here needs no files."""
    monkeypatch.setattr(datasets, "load", lambda folder: slices)
    monkeypatch.setattr(datasets, "read_summary", lambda folder: {"digest": "1", "options": {}})
    config = Config.parse(ich_fed_avg.get_config())
    config = config.replace(image_size=8)
    config = config.replace(min_sites=2)
    return config


def divide(config, workdir, slices):
    reporter = Messages()
    return data.partition(config, Workdir(workdir), slices, reporter), reporter.texts


def test_an_image_size_that_the_dataset_does_not_have(config, tmp_path):
    config = config.replace(data_dir="prepared")
    config = config.replace(image_size=96)
    with pytest.raises(ValueError, match=r"image_size=96: prepared .* --config.image_size=8"):
        data.load(config, Workdir(tmp_path))


def test_a_spacing_that_the_dataset_does_not_have(config, tmp_path):
    config = config.replace(data_dir="prepared", spacing_mm=25.0)
    message = r"spacing_mm=25: prepared was prepared with 0; set --config.spacing_mm=0, or prepare"
    with pytest.raises(ValueError, match=message):
        data.load(config, Workdir(tmp_path))


def test_each_study_is_brought_to_one_level_and_it_is_said(config, slices):
    level = np.where(slices.study == slices.study[0], 25, 32).astype(np.float32)
    head = {"brain_hu": level, "brain_area": np.full(len(slices), 90, np.float32)}
    measured, reporter = dataclasses.replace(slices, head=head), Messages()
    config = config.replace(intensity="study")
    read = data.as_read(config, measured)
    moved = read.hu(np.arange(len(slices))) - slices.pixels
    assert {*moved[slices.study == slices.study[0]].ravel().tolist()} == {7}
    assert {*moved[slices.study != slices.study[0]].ravel().tolist()} == {0}
    data.report_intensity(config, measured, reporter)
    data.report_intensity(config.replace(intensity="none"), measured, reporter)
    assert reporter.texts == [
        "intensity: 24 studies brought to 32 HU, shifted by +0 to +0 (10-90 %)"
    ]


def test_a_partition_is_made_once_and_anew_for_other_inputs(config, tmp_path, slices):
    first, _ = divide(config, tmp_path, slices)
    again, said = divide(config, tmp_path, slices)
    assert again.split.tolist() == first.split.tolist()
    assert not said
    config = config.replace(fractions=(0.4, 0.3, 0.3))
    other, _ = divide(config, tmp_path, slices)
    assert (other.split == "train").sum() < (first.split == "train").sum()


@pytest.mark.parametrize("last", ["write_bytes", "write_json"])
def test_a_partition_that_was_cut_off_is_made_again(config, tmp_path, slices, monkeypatch, last):
    def killed(path, content):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(atomic, last, killed)
        with pytest.raises(KeyboardInterrupt):
            divide(config, tmp_path, slices)
    _, said = divide(config, tmp_path, slices)
    assert not said  # that somebody wrote it by hand
    for name in ("partition.csv", "partition.json", "partition.png"):
        assert (tmp_path / name).stat().st_size


def test_sites_may_be_made(config, tmp_path, slices):
    config = config.replace(partition="iid(sites=4)")
    opened = data.load(config, Workdir(tmp_path))
    names = ("site_1", "site_2", "site_3", "site_4")
    assert opened.arms["federated"].sites == opened.partition.sites == names
    for name, rows in zip(names, opened.arms["federated"].train, strict=True):
        assert set(opened.slices.site[rows]) == {name}
    assert set(slices.site) == {"a", "b", "c", "holdout"}  # the dataset's sites are unchanged
    assert (tmp_path / "partition.png").exists()
    config = config.replace(folds=3, fold=1)
    assert (data.load(config, Workdir(tmp_path)).partition.split == "test").sum() == 6
    config = config.replace(partition="chance()")
    with pytest.raises(ValueError, match=r"no 'chance' .*there are: acquisition"):
        data.load(config, Workdir(tmp_path))


def test_trainings_keep_the_partition_that_they_began_with(config, tmp_path, slices):
    divide(config, tmp_path, slices)
    inputs.write(config, Workdir(tmp_path))
    config = config.replace(seed=1)
    with pytest.raises(ValueError, match="use another --workdir"):
        divide(config, tmp_path, slices)


def test_a_partition_that_was_edited_is_kept_and_that_is_said(config, tmp_path, slices):
    divide(config, tmp_path, slices)
    path = tmp_path / "partition.csv"
    path.write_text(path.read_text().replace("p00,a,train", "p00,a,test"))
    edited = path.read_bytes()
    config = config.replace(seed=1)
    _, said = divide(config, tmp_path, slices)
    assert "by hand" in said[0]
    assert path.read_bytes() == edited


def test_central_and_local_models_are_trained_plainly_whatever_the_federation_does(
    config, tmp_path
):
    config = config.replace(model="resnet(widths=(4,), blocks=(1,), strides=(1,), stem=4)")
    config = config.replace(algorithm="ditto()")
    opened = data.load(config, Workdir(tmp_path))
    personal, kept = {}, {}
    for name in ("federated", "central", "local_b"):
        arm = opened.arms[name]
        task, _ = setup.make_task(config, Workdir(tmp_path), opened.slices, arm)
        training = setup.prepare(config, arm, task, opened.slices, opened.key)
        state, personal[name] = training.state, training.personal
        kept[name] = type(state.sites).__name__
    assert [name for name, model in personal.items() if model] == ["federated"]
    assert kept["federated"] == "PersonalSite"
    assert kept["central"] == kept["local_b"] != "PersonalSite"


def test_what_a_site_counts_is_the_configs_in_the_federated_arm_alone(config, tmp_path):
    config = config.replace(model="mlp(6, widths=(4,))", weighting="equal", epochs=1.0)
    opened = data.load(config, Workdir(tmp_path))
    for name, weights in (("federated", [1, np.nan, 1]), ("central", None)):
        arm = opened.arms[name]
        task, slices = setup.make_task(config, Workdir(tmp_path), opened.slices, arm)
        training = setup.prepare(config, arm, task, slices, opened.key)
        present = np.arange(len(arm.sites)) != 1
        batch = Batch(np.zeros((4, 8, 8), np.int16), np.zeros((4, 6), np.float32), np.ones(4))
        _, metrics = training.run(training.state, lambda site, batch=batch: [batch], present)
        np.testing.assert_array_equal(metrics["weight"], weights or [4])


def test_recomputed_statistics_are_of_the_arms_own_training_slices(config, tmp_path):
    config = config.replace(
        model="resnet(widths=(4,), blocks=(1,), strides=(1,), stem=4, norm='batch')"
    )
    config = config.replace(statistics="recompute")
    opened, reporter = data.load(config, Workdir(tmp_path)), Messages()
    arm = opened.arms["local_b"]
    task, slices = setup.make_task(config, Workdir(tmp_path), opened.slices, arm)
    training = setup.prepare(config, arm, task, slices, opened.key, reporter)
    state, personal, finish = training.state, training.personal, training.finish
    assert finish is not None
    assert reporter.texts == []
    finished = finish(state.server.params)["batch_stats"]["Norm_0"]["BatchNorm_0"]
    hu = slices.hu(arm.train[0])
    wanted = layer_moments(task.logits)(state.server.params, hu, np.ones(len(hu)))
    first = wanted["Norm_0", "BatchNorm_0"]
    np.testing.assert_allclose(finished["mean"], first.mean, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(finished["var"], first.square / first.n, rtol=1e-4, atol=1e-6)
    assert "recomputed in" in reporter.texts[0]

    config = config.replace(algorithm="fed_bn()")
    with pytest.raises(ValueError, match=r"algorithm='fed_bn\(\)': sites have personal models"):
        setup.make_finish(config, arm, task, slices, lambda server, site: site)
    config = config.replace(statistics="aggregate")
    assert setup.make_finish(config, arm, task, slices, personal) is None


def test_a_table_deleted_during_a_run_is_not_made_anew_for_other_patients(config, tmp_path, slices):
    divide(config, tmp_path, slices)
    path = tmp_path / "partition.csv"
    inputs.write(config, Workdir(tmp_path))
    path.unlink()
    divide(config, tmp_path, slices)  # the same patients again
    path.write_text(path.read_text().replace("p00,a,train", "p00,a,test"))
    inputs.write(config, Workdir(tmp_path))
    path.unlink()
    with pytest.raises(ValueError, match=r"partition.csv is missing, and .* was trained with"):
        divide(config, tmp_path, slices)


def test_checkpoints_without_their_inputs_are_not_continued(config, tmp_path, slices):
    divide(config, tmp_path, slices)
    (tmp_path / "models" / "federated" / "checkpoints").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"inputs.json is missing, though the arm was trained"):
        inputs.check(config, Workdir(tmp_path))


def test_predictions_deleted_during_a_run_are_missed(config, tmp_path):
    with pytest.raises(ValueError, match=r"files of federated, central, .* were deleted"):
        run(
            config.replace(data_dir="prepared"),
            Workdir(tmp_path),
            train_arms=lambda configs, plans, finished: None,
        )


def test_arms_share_the_dataset_until_the_partition_changes(config, tmp_path, slices):
    loader, workdir = data.Loader(), Workdir(tmp_path)
    first = loader.load(config, workdir)
    assert loader.load(config.replace(arm="central"), workdir) is first
    text = workdir.partition.read_text()
    workdir.partition.write_text(text.replace("test", "train", 1))
    assert loader.load(config, workdir) is not first


def test_other_inputs_are_named(config, tmp_path, slices):
    divide(config, tmp_path, slices)
    inputs.write(config, Workdir(tmp_path))
    config = config.replace(jobs=7)  # changes no number
    inputs.check(config, Workdir(tmp_path))
    config = config.replace(batch_size=3, threads=2)
    with pytest.raises(ValueError, match="batch_size: 16 there, 3 now; threads: 1 there, 2 now"):
        inputs.check(config, Workdir(tmp_path))


def test_a_training_without_its_predictions_is_not_complete(config, tmp_path):
    (tmp_path / "models" / "federated").mkdir(parents=True)
    (tmp_path / "predictions").mkdir()
    assert not Workdir(tmp_path).is_complete("federated")
    done = {"predictions": ["federated", "personal"]}
    atomic.write_json(tmp_path / "models" / "federated" / "done.json", done)
    for name in done["predictions"]:
        assert not Workdir(tmp_path).is_complete("federated")
        (tmp_path / "predictions" / f"{name}.csv").touch()
    assert Workdir(tmp_path).is_complete("federated")


def test_the_layout_that_auto_takes_is_said(config, tmp_path):
    config = config.replace(model="resnet(widths=(4,), blocks=(1,), strides=(1,), stem=4)")
    assert config.layout == "auto"
    opened, reporter = data.load(config, Workdir(tmp_path)), Messages()
    for name in ("federated", "central"):
        arm = opened.arms[name]
        task, slices = setup.make_task(config, Workdir(tmp_path), opened.slices, arm)
        setup.prepare(config, arm, task, slices, opened.key, reporter)
    assert reporter.texts == ["layout mesh: 4 devices train 3 sites in parallel"]


class Records:
    """Pixels that are on disk, as far as anyone can tell."""

    def __init__(self, pixels):
        self._pixels = pixels

    def __getitems__(self, rows):
        return [{"hu": self._pixels[row]} for row in rows]


def test_a_dataset_over_the_memory_limit_stays_on_disk(config, tmp_path, slices, monkeypatch):
    on_disk = dataclasses.replace(slices, pixels=None, source=Records(slices.pixels))
    monkeypatch.setattr(datasets, "load", lambda folder: on_disk)
    gibibytes = slices.pixels.nbytes / 2**30
    config = config.replace(memory_limit=gibibytes)
    loaded = data.load(config, Workdir(tmp_path)).slices.pixels
    assert loaded is not None
    assert (loaded == slices.pixels).all()
    config = config.replace(memory_limit=0.99 * gibibytes)
    assert data.load(config, Workdir(tmp_path)).slices.pixels is None


def test_a_model_may_read_three_slices_in_one_window(config, tmp_path):
    config = config.replace(model="resnet(widths=(4,), blocks=(1,), strides=(1,), stem=4)")
    config = config.replace(adjacent=3, windows=("brain",), rounds=1)
    config = config.replace(layout="sequential")
    opened = data.load(config, Workdir(tmp_path))
    task, _ = setup.make_task(config, Workdir(tmp_path), opened.slices, opened.arms["central"])
    assert opened.slices.input_shape == (3, 8, 8)
    assert task.logits(task.init(opened.key), np.zeros((2, 3, 8, 8), np.int16)).shape == (2, 6)
    assert train_arm(config, Workdir(tmp_path)).rounds == 1


OPTIONS = {
    **{"loss": "focal(gamma=1.0, smoothing=0.1)", "mixup": 0.4, "accumulate": 2, "test_flip": True},
    **{"sampling": "balanced", "ema": 0.5, "round_schedule": "linear_schedule(1.0, 0.2, rounds)"},
    "optimizer": "adam(warmup_cosine_decay_schedule(1e-4, 3e-2, 3, 40))",
}


@pytest.mark.slow
def test_a_run_with_all_options_goes_on_with_the_same_bits_and_predicts_as_it_was_validated(
    config, tmp_path, slices, monkeypatch
):
    config = config.replace(model="mlp(6, widths=(4,))", rounds=3, epochs=1.0, layout="sequential")
    for folder in ("plain", "whole", "halves"):
        if folder == "whole":
            config = config.replace(**OPTIONS)
        workdir = tmp_path / folder
        if folder == "halves":

            class Stop(Reporter):
                def round_finished(self, arm, record):
                    if record["round"] == 2:
                        raise InterruptedError

            with pytest.raises(InterruptedError):
                train_arm(config, Workdir(workdir), Stop())
        train_arm(config, Workdir(workdir))
    files = {name: tmp_path / name / "predictions" / "federated.csv" for name in ("plain", "whole")}
    halves = tmp_path / "halves" / "predictions" / "federated.csv"
    assert files["whole"].read_bytes() == halves.read_bytes() != files["plain"].read_bytes()

    restored = restore.load(Workdir(tmp_path / "whole"), Strict())
    predicted = predictions.read(files["whole"])
    rows = [list(slices.image).index(name) for name in predicted.image[:5]]
    logits = restored.logits(restored.params, slices.pixels[rows])
    np.testing.assert_allclose(predicted.scores[:5], jax.nn.sigmoid(logits), rtol=1e-4)
    last = restore.load(Workdir(tmp_path / "whole"), Strict(), checkpoint=3)
    assert jax.tree.structure(last.params) == jax.tree.structure(restored.params)


def test_each_option_changes_what_it_is_for_and_nothing_else(config, tmp_path):
    config = config.replace(model="mlp(6, widths=(4,))")
    draw = np.random.default_rng(0)
    hu = draw.integers(-50, 150, (4, 8, 8)).astype(np.int16)
    labels = draw.integers(0, 2, (4, 6)).astype(np.float32)
    key = jax.random.key(1)

    def outcomes():
        task = models.network(config, (8, 8)).task
        params = task.init(key)
        batch = Batch(hu, labels, np.ones(4, np.float32))
        values = {
            "loss": float(task.loss(params, batch, key)),
            "logits": np.asarray(task.logits(params, hu)).tolist(),
            "sampling": data.load(config, Workdir(tmp_path)).arms["local_a"].balanced,
        }
        for arm in ("federated", "central"):
            state = federation.start(config, arm, task, sites=1, key=key)[-1]
            values[arm] = type(state.server).__name__, len(jax.tree.leaves(state.sites))
        return values

    before, default = outcomes(), config
    changes = {
        ("loss", "focal()"): {"loss"},
        ("mixup", 1.0): {"loss"},
        ("test_flip", True): {"logits"},
        ("sampling", "balanced"): {"sampling"},
        ("ema", 0.9): {"federated", "central"},
        ("round_schedule", "constant_schedule(0.5)"): {"federated", "central"},
        ("accumulate", 2): set(),
    }
    for (name, value), what in changes.items():
        config = default.replace(**{name: value})
        after = outcomes()
        assert {key for key in after if after[key] != before[key]} - {"loss"} == what - {"loss"}, (
            name
        )
        assert (after["loss"] == pytest.approx(before["loss"], rel=1e-5)) == ("loss" not in what), (
            name
        )
    config = default.replace(batch_size=6, accumulate=3)  # of a batch of 4
    with pytest.raises(ValueError, match="accumulate=3: does not divide the 4"):
        outcomes()
