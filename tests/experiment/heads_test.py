"""Heads on the features of an experiment's models: training, evaluation, and refusal of patient leaks."""

import dataclasses

import jax
import numpy as np
import pytest
import weight_files
from reporters import Said, Strict
from scipy.special import expit

from configs import recalibrate, study_head
from fl_jax.data import slices as datasets
from fl_jax.data.domain import Extent
from fl_jax.evaluation import predictions
from fl_jax.evaluation.patient_level import aggregate
from fl_jax.experiment import data, evaluate, features, heads, inputs, predict, restore, setup
from fl_jax.experiment import model as models
from fl_jax.experiment.checkpoint import Store
from fl_jax.experiment.config import Config
from fl_jax.experiment.labelled_predictions import LabelledPredictions
from fl_jax.experiment.predict import model_of
from fl_jax.experiment.rounds import Saved
from fl_jax.experiment.study_level import StudyNames
from fl_jax.experiment.train import train_arm
from fl_jax.models.deep_resnet import deep_resnet
from fl_jax.workdir import EvaluationFolder, Workdir

SMALL = "resnet(widths=(4,), blocks=(1,), strides=(1,), stem=4)"
FACTS = {"digest": "1", "options": {}}


@pytest.fixture(scope="module")
def scans(slices):
    """The small dataset with a distinct position for each slice, from top to bottom."""
    position = -6.0 * np.arange(len(slices), dtype=np.float32)
    return dataclasses.replace(slices, position=position)


@pytest.fixture(autouse=True)
def _data(scans, monkeypatch):
    monkeypatch.setattr(datasets, "load", lambda folder: scans)
    monkeypatch.setattr(datasets, "read_summary", lambda folder: FACTS)


@pytest.fixture(scope="module")
def demo(scans, tmp_path_factory):
    """An experiment with an untrained federated model and its predictions, and the inputs of a local arm."""
    folder = tmp_path_factory.mktemp("demo")
    config = Config.parse(study_head.get_config()).replace(spacing_mm=0.0, intensity="none")
    config = config.replace(backbone="", model=SMALL, image_size=8, min_sites=2)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(datasets, "load", lambda folder: scans)
        patched.setattr(datasets, "read_summary", lambda folder: FACTS)
        opened = data.load(config, Workdir(folder))
        arm = opened.arms["federated"]
        task, _ = setup.make_task(config, Workdir(folder), opened.slices, arm)
        state = setup.prepare(config, arm, task, opened.slices, opened.key).state
        inputs.write(config, Workdir(folder))
        store = Store(folder / "models" / "federated" / "checkpoints")
        untrained = model_of(state, None)
        store.save(1, Saved(state, untrained), {"best_round": 1})
        predicted = predict.predict_slices(arm, task, untrained, scans, opened.partition)[
            "federated"
        ]
        (folder / "predictions").mkdir()
        predictions.write(folder / "predictions" / "federated.csv", predicted)
        config = config.replace(arm="local", site="b")
        inputs.write(config, Workdir(folder))
    return folder


@pytest.fixture
def config(demo):
    config = Config.parse(study_head.get_config()).replace(spacing_mm=0.0, intensity="none")
    config = config.replace(backbone=str(demo), image_size=8, min_sites=2)
    config = config.replace(model="study_head('transformer', 8, heads=2)")
    config = config.replace(rounds=1)
    return config


def test_a_head_is_trained_and_judged_like_any_model(config, demo, tmp_path, scans, monkeypatch):
    done = train_arm(config, Workdir(tmp_path))
    assert done.rounds == 1
    opened = data.load(config, Workdir(tmp_path))
    arm = opened.arms["federated"]
    assert sum(map(len, arm.train)) == (opened.partition.split == "train").sum()  # studies
    stored = predictions.read(tmp_path / "predictions" / "federated.csv")
    single = predictions.read(demo / "predictions" / "federated.csv")
    for field in ("image", "patient", "split", "truth"):
        np.testing.assert_array_equal(getattr(stored, field), getattr(single, field))
    whole = predictions.read(tmp_path / "predictions" / "studies" / "federated.csv")
    np.testing.assert_array_equal(whole.truth, aggregate(single, single.patient).truth)

    with monkeypatch.context() as patched:
        patched.setattr(features, "extract", lambda *_, **__: pytest.fail("computed again"))
        read = restore.reader(config, Strict())
        heads.make_task(config, Workdir(tmp_path), opened.slices, arm, read)

    model = restore.load(Workdir(tmp_path), Strict())
    of_studies = dict(zip(scans.image.tolist(), scans.study.tolist(), strict=True))
    ours = LabelledPredictions("federated", stored, stored, {})
    names = StudyNames(of_studies, of_studies)
    own, validation, how = evaluate._own_studies(model, scans, ours, names, None)
    assert own.image.tolist() == whole.image.tolist()
    np.testing.assert_allclose(own.scores, whole.scores, rtol=1e-5)
    assert {*validation.split} == {"validation"}
    assert how == "the head's, round 1"
    row = {name: number for number, name in enumerate(scans.image)}
    rows = np.array([row[name] for name in stored.image])
    (tmp_path / "refused.csv").write_text("site,path,reason,detail\n")
    lost = np.full(len(scans), np.nan)
    monkeypatch.setattr(evaluate.domain, "read_extent", lambda *_: Extent(lost, lost, lost))
    with EvaluationFolder(tmp_path / "out") as out:
        predicted = evaluate.predict(model, tmp_path, out, stored).logits
    logits = predicted[rows]
    np.testing.assert_allclose(expit(logits), stored.scores, rtol=1e-5)
    page = (tmp_path / "out" / "predictions.html").read_text()
    assert "data:image/jpeg" in page  # of pixels, not of features
    turned = np.arange(len(scans))[::-1]
    files = ("image", "patient", "study", "series", "site")
    files += ("position", "labels", "thickness", "pixels")
    other = dataclasses.replace(scans, **{name: getattr(scans, name)[turned] for name in files})
    again = predict.score(model.logits, model.params, restore.as_read(model, other), turned[rows])
    np.testing.assert_allclose(again, logits, rtol=1e-4, atol=1e-5)  # files in another order


def test_each_arm_reads_with_its_own_model_or_all_with_one(config, demo, scans):
    config = config.replace(arm="local", site="b")
    assert data.backbone_name(config) == "local_b"
    with pytest.raises(FileNotFoundError, match="local_b has no trained model"):
        restore.reader(config, Strict())
    config = config.replace(backbone_model="federated")
    read = restore.reader(config, Strict())
    assert read.size == 4
    federated = restore.load(Workdir(demo), Strict()).params
    jax.tree.map(np.testing.assert_array_equal, read.variables, {"params": federated})
    table = heads.as_read(read, scans).hu(np.arange(len(scans)))
    logits = table @ federated["Dense_0"]["kernel"] + federated["Dense_0"]["bias"]
    single = predictions.read(demo / "predictions" / "federated.csv")
    row = {name: number for number, name in enumerate(scans.image)}
    rows = np.array([row[name] for name in single.image])
    np.testing.assert_allclose(expit(logits[rows]), single.scores, rtol=1e-4)


@pytest.mark.slow
def test_a_head_and_its_backbone_begin_as_they_were(config, demo, tmp_path, scans, monkeypatch):
    read = restore.reader(config, Strict())
    opened = data.load(config, Workdir(tmp_path))
    arm = opened.arms["federated"]
    alone, read_slices = heads.make_task(config, Workdir(tmp_path), opened.slices, arm, read)
    config = config.replace(trainable="^backbone/", max_degrees=5.0, flip=True)
    task, images = heads.make_task(config, Workdir(tmp_path), opened.slices, arm, read)
    params, head = task.init(opened.key), alone.init(opened.key)
    rows = arm.validation
    logits = predict.score(jax.jit(task.logits), params, images, rows)
    frozen = predict.score(jax.jit(alone.logits), head, read_slices, rows)
    np.testing.assert_allclose(logits, frozen, rtol=1e-4, atol=1e-5)
    monkeypatch.setattr(predict, "LARGEST_BATCH", 1)  # a study at a time
    again = predict.score(jax.jit(task.logits), params, images, rows)
    np.testing.assert_allclose(again, logits, rtol=1e-4, atol=1e-5)

    config = config.replace(trainable="Block_0")
    part = jax.eval_shape(heads.joint_task(config, read).init, opened.key)
    assert {name: set(part[name]) for name in part} == {
        "backbone": {"Block_0"},
        "head": set(head),
    }
    config = config.replace(trainable="^layer4")
    with pytest.raises(
        ValueError, match="matches none of the backbone's leaves; there are: backbone/"
    ):
        heads.joint_task(config, read)


@pytest.mark.slow
def test_a_head_is_trained_on_with_its_backbone(config, tmp_path, scans):
    train_arm(config, Workdir(tmp_path / "head"))
    before = restore.load(Workdir(tmp_path / "head"), Strict())
    config = config.replace(backbone=str(tmp_path / "head"))
    with pytest.raises(ValueError, match=r"is a head itself; give its backbone, .*trainable="):
        train_arm(config, Workdir(tmp_path / "tuned"))
    config = config.replace(trainable="^backbone/", layer_rates=(("^backbone/", 0.5),))
    other = config.replace(model="study_head('gru', 8)")
    with pytest.raises(ValueError, match="the head that it starts from is study_head"):
        train_arm(other, Workdir(tmp_path / "tuned"))
    train_arm(config, Workdir(tmp_path / "tuned"))
    model = restore.load(Workdir(tmp_path / "tuned"), Strict())
    stored = predictions.read(tmp_path / "tuned" / "predictions" / "federated.csv")
    row = {name: number for number, name in enumerate(scans.image)}
    rows = np.array([row[name] for name in stored.image])
    seen = restore.as_read(model, scans)
    logits = predict.score(model.logits, model.params, seen, rows)
    np.testing.assert_allclose(expit(logits), stored.scores, rtol=1e-4)
    was = predict.score(before.logits, before.params, restore.as_read(before, scans), rows)
    assert 1e-4 < np.abs(logits - was).max() < 10
    config = config.replace(backbone=str(tmp_path / "tuned"))
    with pytest.raises(ValueError, match="is a head itself"):
        restore.reader(config, Strict())


def test_a_backbone_may_be_pretrained(config, tmp_path):
    arrays = weight_files.state_dict(deep_resnet(18, labels=1000))
    config = config.replace(
        pretrained_digest=weight_files.write(tmp_path / "w.safetensors", arrays)
    )
    config = config.replace(pretrained=str(tmp_path / "w.safetensors"), backbone="deep_resnet(18)")
    assert restore.reader(config, Strict()).size == 512
    assert data.data_dir(config, Workdir(tmp_path)) == tmp_path / "data"


def test_a_head_that_could_have_seen_its_test_patients(config, demo, tmp_path, monkeypatch):
    config = config.replace(seed=1)
    with pytest.raises(ValueError, match=r"its partition differs, .* copy .*partition.csv here"):
        train_arm(config, Workdir(tmp_path))
    assert not list(tmp_path.glob("models/*/inputs.json"))
    (tmp_path / "partition.csv").write_bytes((demo / "partition.csv").read_bytes())
    opened = data.open_data(config, Workdir(tmp_path))
    heads.check_patients(config, Workdir(tmp_path), opened)
    monkeypatch.setattr(datasets, "read_summary", lambda folder: {**FACTS, "digest": "2"})
    with pytest.raises(ValueError, match="its dataset differs"):
        heads.check_patients(config, Workdir(tmp_path), opened)


def test_another_backbone_is_another_run(config, demo, tmp_path):
    data.load(config, Workdir(tmp_path))
    inputs.write(config, Workdir(tmp_path))
    inputs.check(config, Workdir(tmp_path))
    config = config.replace(backbone_model="local_b")
    with pytest.raises(
        ValueError, match=r"backbone_inputs: .* there, .* now; backbone_model: 'own'"
    ):
        inputs.check(config, Workdir(tmp_path))
    config = config.replace(backbone_model="central")
    with pytest.raises(ValueError, match=r"there is no .*central.inputs.json; train it"):
        inputs.of(config, Workdir(tmp_path))


@pytest.fixture
def refit(demo):
    config = Config.parse(recalibrate.get_config()).replace(spacing_mm=0.0, intensity="none")
    return config.replace(
        backbone=str(demo), image_size=8, model=SMALL, batch_size=16, data_dir="."
    )


def other_images(monkeypatch, scans):
    """Another dataset, of images that the backbone has not seen."""
    renamed = dataclasses.replace(scans, image=np.char.add("other_", scans.image))
    monkeypatch.setattr(
        datasets, "load", lambda folder: scans if "demo" in str(folder) else renamed
    )
    facts = {True: FACTS, False: {**FACTS, "digest": "2"}}
    monkeypatch.setattr(datasets, "read_summary", lambda folder: facts["demo" in str(folder)])
    return renamed


def test_a_last_layer_is_refitted_on_another_dataset(refit, demo, tmp_path, scans, monkeypatch):
    renamed = other_images(monkeypatch, scans)
    for arm in ("federated", "central"):
        train_arm(refit.replace(arm=arm), Workdir(tmp_path))
    before = restore.load(Workdir(demo), Strict())
    model = restore.load(Workdir(tmp_path), Strict())
    assert set(model.params) == {"Dense_0"}
    assert model.params["Dense_0"]["kernel"].shape == (4, 6)

    stored = predictions.read(tmp_path / "predictions" / "federated.csv")
    row = {name: number for number, name in enumerate(renamed.image)}
    rows = np.array([row[name] for name in stored.image])
    seen = restore.as_read(model, renamed)
    assert seen.input_shape == (8, 8)  # it reads images, like any model of slices
    logits = predict.score(model.logits, model.params, seen, rows)
    np.testing.assert_allclose(expit(logits), stored.scores, rtol=1e-4)

    last = [
        Store(tmp_path / "models" / arm / "checkpoints", read_only=True).read_newest(Strict())
        for arm in ("federated", "central")
    ]
    heads_ = [
        {k: v for k, v in named.items() if "state/server/params" in k} for _, named, _ in last
    ]
    for name, head in heads_[0].items():  # the federation's head is that of the pooled slices
        np.testing.assert_allclose(head, heads_[1][name], rtol=1e-3, atol=1e-3)

    opened = data.load(refit, Workdir(tmp_path))
    train = opened.partition.rows(renamed, "train")
    y = renamed.labels[train]

    def loss(logits):
        return (np.logaddexp(0, logits) - y * logits).mean()

    old = predict.score(before.logits, before.params, renamed, train)
    assert loss(predict.score(model.logits, model.params, seen, train)) < loss(old)


def test_images_from_which_the_backbone_learned(refit, tmp_path, scans, monkeypatch):
    other_images(monkeypatch, scans)
    monkeypatch.setattr(datasets, "load", lambda folder: scans)
    with pytest.raises(ValueError, match=r"learned from .* images .* such as ID_.*another seed"):
        train_arm(refit.replace(seed=1), Workdir(tmp_path))
    assert not list(tmp_path.glob("models/*/inputs.json"))


def test_a_backbone_whose_dataset_is_gone(refit, tmp_path, scans, monkeypatch):
    renamed = other_images(monkeypatch, scans)
    summaries = lambda folder: None if "demo" in str(folder) else {**FACTS, "digest": "2"}  # noqa: E731
    monkeypatch.setattr(datasets, "read_summary", summaries)
    data.load(refit, Workdir(tmp_path))
    reporter = Said()
    heads.check_patients(refit, Workdir(tmp_path), renamed, reporter)
    assert "could not be compared" in reporter[0]


def test_another_model_than_the_backbones(refit, tmp_path, scans, monkeypatch):
    other_images(monkeypatch, scans)
    refit = refit.replace(model="resnet()", windows=("brain",))
    with pytest.raises(
        ValueError, match=r"set --config.windows=.* --config.model=.resnet\(widths="
    ):
        train_arm(refit, Workdir(tmp_path))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        (
            "windows",
            ("brain",),
            r"config.windows=\('brain',\): differs from .*; set --config.windows=.\('brain', 's",
        ),
        ("adjacent", 3, "config.adjacent=3: differs from .*; set --config.adjacent=.1"),
    ],
)
def test_a_head_reads_slices_as_its_backbone_does(config, tmp_path, field, value, message):
    config = config.replace(**{field: value})
    with pytest.raises(ValueError, match=message):
        train_arm(config, Workdir(tmp_path))
    assert not list(tmp_path.glob("models/*/inputs.json"))


def test_models_that_give_no_features():
    network = models.Network(study_head, None, {}, None, None)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="has no features of a slice"):
        heads.make_reader(network, {}, [], (8, 8))
