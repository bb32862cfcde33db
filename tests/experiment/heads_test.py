"""A head on the features of a study's own models: trained, judged, and refused where it leaks."""

import dataclasses
import json

import jax
import numpy as np
import pytest
import weight_files
from scipy.special import expit

from configs import study_head
from fl_jax.data import slices as datasets
from fl_jax.evaluation import predictions
from fl_jax.evaluation.patient_level import aggregate
from fl_jax.experiment import data as experiment
from fl_jax.experiment import features, heads, inputs
from fl_jax.experiment import model as backbone
from fl_jax.experiment import restore as trained
from fl_jax.experiment import setup as training
from fl_jax.experiment import train as study
from fl_jax.experiment.checkpoint import Store
from fl_jax.models.deep_resnet import deep_resnet
from launch import evaluate, train

SMALL = "resnet(widths=(4,), blocks=(1,), strides=(1,), stem=4)"
FACTS = {"digest": "1", "options": {}}


@pytest.fixture(scope="module")
def scans(slices):
    """The small dataset, its slices at places of their own, the first at the top."""
    position = -6.0 * np.arange(len(slices), dtype=np.float32)
    return dataclasses.replace(slices, position=position)


@pytest.fixture(autouse=True)
def _data(scans, monkeypatch):
    monkeypatch.setattr(datasets, "load", lambda folder: scans)
    monkeypatch.setattr(datasets, "read_summary", lambda folder: FACTS)


@pytest.fixture(scope="module")
def demo(scans, tmp_path_factory):
    """A study whose federated model is as it began, and has predicted; a local one has only begun."""
    folder = tmp_path_factory.mktemp("demo")
    config = study_head.get_config()
    config.backbone, config.model, config.image_size, config.min_sites = "", SMALL, 8, 2
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(datasets, "load", lambda folder: scans)
        patched.setattr(datasets, "read_summary", lambda folder: FACTS)
        opened = experiment.load(config, folder)
        arm = opened.arms["federated"]
        task, _ = training.task(config, folder, opened, arm)
        _, state, _ = training.federation(config, opened, arm, task)
        inputs.keep(config, folder)
        store = Store(folder / "models" / "federated" / "checkpoints")
        begun = study.model(state, None)
        store.save(1, (state, begun), {"best_round": 1})
        store.close()
        found = study.predictions(arm, task, begun, scans, opened.partition)["federated"]
        (folder / "predictions").mkdir()
        predictions.write(folder / "predictions" / "federated.csv", found)
        config.regime, config.site = "local", "b"
        inputs.keep(config, folder)
    return folder


@pytest.fixture
def config(demo):
    config = study_head.get_config()
    config.backbone, config.image_size, config.min_sites = str(demo), 8, 2
    config.model = "study_head('transformer', 8, heads=2)"
    config.rounds = 1
    return config


def quiet(sentence):
    pass


def test_a_head_is_trained_and_judged_like_any_model(config, demo, tmp_path, scans, monkeypatch):
    done = train.train(config, tmp_path, say=quiet)
    assert done["rounds"] == 1
    opened = experiment.load(config, tmp_path)
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
        read = trained.reader(config, complain=pytest.fail)
        heads.task(config, tmp_path, opened, arm, read)

    model = trained.load(tmp_path, complain=pytest.fail)
    row = {name: number for number, name in enumerate(scans.image)}
    rows = np.array([row[name] for name in stored.image])
    (tmp_path / "refused.csv").write_text("site,path,reason,detail\n")
    seen = evaluate.evaluate(model, tmp_path, tmp_path)
    logits = seen.logits[rows]
    np.testing.assert_allclose(expit(logits), stored.scores, rtol=1e-5)
    page = (tmp_path / "predictions.html").read_text()
    assert "data:image/png" in page  # of pixels, not of features
    turned = np.arange(len(scans))[::-1]
    files = ("image", "patient", "study", "series", "site")
    files += ("position", "labels", "thickness", "held")
    other = dataclasses.replace(scans, **{name: getattr(scans, name)[turned] for name in files})
    again = study.score(model.logits, model.params, trained.as_read(model, other), turned[rows])
    np.testing.assert_allclose(again, logits, rtol=1e-4, atol=1e-5)  # files in another order


def test_each_arm_reads_with_its_own_model_or_all_with_one(config, demo, scans):
    config.regime, config.site = "local", "b"
    assert experiment.backbone_name(config) == "local_b"
    with pytest.raises(FileNotFoundError, match="local_b holds no trained model"):
        trained.reader(config, complain=pytest.fail)
    config.backbone_model = "federated"
    read = trained.reader(config, complain=pytest.fail)
    assert read.size == 4
    federated = trained.load(demo, complain=pytest.fail).params
    jax.tree.map(np.testing.assert_array_equal, read.variables, {"params": federated})
    found = heads.as_read(read, scans).hu(np.arange(len(scans)))
    logits = found @ federated["Dense_0"]["kernel"] + federated["Dense_0"]["bias"]
    single = predictions.read(demo / "predictions" / "federated.csv")
    row = {name: number for number, name in enumerate(scans.image)}
    rows = np.array([row[name] for name in single.image])
    np.testing.assert_allclose(expit(logits[rows]), single.scores, rtol=1e-4)


@pytest.mark.slow
def test_a_head_and_its_backbone_begin_as_they_were(config, demo, tmp_path, scans, monkeypatch):
    read = trained.reader(config, complain=pytest.fail)
    opened = experiment.load(config, tmp_path)
    arm = opened.arms["federated"]
    alone, found = heads.task(config, tmp_path, opened, arm, read)
    config.trainable, config.max_degrees, config.flip = "^backbone/", 5.0, True
    task, images = heads.task(config, tmp_path, opened, arm, read)
    params, head = task.init(opened.key), alone.init(opened.key)
    rows = arm.validation
    logits = study.score(jax.jit(task.logits), params, images, rows)
    frozen = study.score(jax.jit(alone.logits), head, found, rows)
    np.testing.assert_allclose(logits, frozen, rtol=1e-4, atol=1e-5)
    monkeypatch.setattr(study, "MOST", 1)  # a study at a time
    again = study.score(jax.jit(task.logits), params, images, rows)
    np.testing.assert_allclose(again, logits, rtol=1e-4, atol=1e-5)

    config.trainable = "Block_0"
    part = jax.eval_shape(heads.joint_task(config, read).init, opened.key)
    assert {name: set(part[name]) for name in part} == {
        "backbone": {"Block_0"},
        "head": set(head),
    }
    config.trainable = "^layer4"
    with pytest.raises(
        ValueError, match="finds none of the backbone's leaves; there are: backbone/"
    ):
        heads.joint_task(config, read)


@pytest.mark.slow
def test_a_head_is_trained_on_with_its_backbone(config, tmp_path, scans):
    train.train(config, tmp_path / "head", say=quiet)
    before = trained.load(tmp_path / "head", complain=pytest.fail)
    config.backbone = str(tmp_path / "head")
    with pytest.raises(ValueError, match=r"is a head itself; give its backbone, .*trainable="):
        train.train(config, tmp_path / "tuned", say=quiet)
    config.trainable, config.layer_rates = "^backbone/", (("^backbone/", 0.5),)
    other = config.copy_and_resolve_references()
    other.model = "study_head('gru', 8)"
    with pytest.raises(ValueError, match="the head that it begins from is study_head"):
        train.train(other, tmp_path / "tuned", say=quiet)
    train.train(config, tmp_path / "tuned", say=quiet)
    model = trained.load(tmp_path / "tuned", complain=pytest.fail)
    stored = predictions.read(tmp_path / "tuned" / "predictions" / "federated.csv")
    row = {name: number for number, name in enumerate(scans.image)}
    rows = np.array([row[name] for name in stored.image])
    seen = trained.as_read(model, scans)
    logits = study.score(model.logits, model.params, seen, rows)
    np.testing.assert_allclose(expit(logits), stored.scores, rtol=1e-4)
    was = study.score(before.logits, before.params, trained.as_read(before, scans), rows)
    assert 1e-4 < np.abs(logits - was).max() < 10
    config.backbone = str(tmp_path / "tuned")
    with pytest.raises(ValueError, match="is a head itself"):
        trained.reader(config, complain=pytest.fail)


def test_a_backbone_may_be_pretrained(config, tmp_path):
    arrays = weight_files.state_dict(deep_resnet(18, labels=1000))
    config.pretrained_digest = weight_files.write(tmp_path / "w.safetensors", arrays)
    config.pretrained, config.backbone = str(tmp_path / "w.safetensors"), "deep_resnet(18)"
    assert trained.reader(config, complain=pytest.fail).size == 512
    assert experiment.data_dir(config, tmp_path) == tmp_path / "data"


def test_a_head_that_could_have_seen_its_test_patients(config, demo, tmp_path, monkeypatch):
    config.seed = 1
    with pytest.raises(ValueError, match=r"its partition is another, .* copy .*partition.csv here"):
        train.train(config, tmp_path, say=quiet)
    assert not list(tmp_path.glob("models/*/inputs.json"))
    (tmp_path / "partition.csv").write_bytes((demo / "partition.csv").read_bytes())
    heads.check_patients(config, tmp_path)
    monkeypatch.setattr(datasets, "read_summary", lambda folder: {**FACTS, "digest": "2"})
    with pytest.raises(ValueError, match="its dataset is another"):
        heads.check_patients(config, tmp_path)


def test_another_backbone_is_another_run(config, demo, tmp_path):
    experiment.load(config, tmp_path)
    inputs.keep(config, tmp_path)
    inputs.check(config, tmp_path)
    config.backbone_model = "local_b"
    with pytest.raises(
        ValueError, match=r"backbone_inputs: .* there, .* now; backbone_model: 'own'"
    ):
        inputs.check(config, tmp_path)
    config.backbone_model = "central"
    with pytest.raises(ValueError, match=r"there is no .*central.inputs.json; train it"):
        inputs.of(config, tmp_path)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("flip", True, "features are of slices as they are"),
        ("max_degrees", 5.0, "features are of slices as they are"),
        ("layer_rates", (("^head/", 2.0),), "rates by layer are for a backbone that is trained"),
        ("statistics", "local", "running statistics stay frozen"),
        (
            "windows",
            ("brain",),
            r"config.windows=\('brain',\): the backbone reads slices with \['brain', 's",
        ),
        ("adjacent", 3, "config.adjacent=3: the backbone reads slices with 1"),
        ("model", SMALL, r"must be study_head\(...\)"),
        ("backbone", "", "reads features; give config.backbone"),
        ("study_weight", -1.0, "study_weight=-1.0"),
    ],
)
def test_fields_that_do_not_go_together(config, tmp_path, field, value, message):
    config[field] = value
    with pytest.raises(ValueError, match=message):
        train.train(config, tmp_path, say=quiet)
    assert not list(tmp_path.glob("models/*/inputs.json"))


def test_models_that_give_no_features():
    made = backbone.Network(study_head, None, {}, None, None)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="gives no features of a slice"):
        heads.reader(made, {}, [], (8, 8))


def test_a_run_from_before_there_were_heads_is_read(demo, tmp_path):
    folder = tmp_path / "models" / "federated"
    folder.mkdir(parents=True)
    (folder / "checkpoints").symlink_to(demo / "models" / "federated" / "checkpoints")
    (tmp_path / "partition.csv").write_bytes((demo / "partition.csv").read_bytes())
    kept = json.loads((demo / "models" / "federated" / "inputs.json").read_text())
    old = {name: value for name, value in kept.items() if name not in inputs.BEFORE}
    assert len(old) < len(kept)
    (folder / "inputs.json").write_text(json.dumps(old))
    assert trained.load(tmp_path, complain=pytest.fail).round == 1
