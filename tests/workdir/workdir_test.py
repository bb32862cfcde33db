import ast
import json
import re
import subprocess
import sys

import make_summary
import numpy as np
import pytest
from architecture_test import MODULES

from fl_jax.evaluation.predictions import Predictions
from fl_jax.workdir import PERSONAL, EvaluationFolder, SeedsFolder, Workdir
from fl_jax.workdir.schema import Done, Manifest, RoundRecord


def test_the_dataset_is_where_the_manifest_says_or_with_a_heads_backbone(tmp_path):
    (tmp_path / "demo" / "data").mkdir(parents=True)
    for name, backbone in (("head", "demo"), ("tuned", "head"), ("loop", "loop"), ("net", "")):
        inputs = Workdir(tmp_path / name).arm("federated").inputs
        inputs.parent.mkdir(parents=True)
        folder = str(tmp_path / backbone) if backbone else "deep_resnet(18)"
        inputs.write_text(json.dumps({"backbone": folder}))
    data = {
        name: Workdir(tmp_path / name).find_data()
        for name in ("demo", "head", "tuned", "loop", "net")
    }
    assert data["demo"] == data["head"] == data["tuned"] == tmp_path / "demo" / "data"
    assert data["loop"] == tmp_path / "loop" / "data"
    assert data["net"] == tmp_path / "net" / "data"
    Workdir(tmp_path / "head").write_manifest(Manifest({"data_dir": "/elsewhere"}))
    assert str(Workdir(tmp_path / "tuned").find_data()) == "/elsewhere"


def test_a_dataset_is_used_only_if_an_arm_was_trained_on_it(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    make_summary.write(data)
    summary = json.loads((data / "summary.json").read_text())
    workdir = Workdir(tmp_path / "run")
    (tmp_path / "run").mkdir()
    workdir.write_manifest(Manifest({"data_dir": "/elsewhere"}))
    assert str(workdir.own_data()) == "/elsewhere"  # there is none
    workdir.write_manifest(Manifest({"data_dir": str(data)}))
    with pytest.raises(ValueError, match=f"^{data} is not the dataset that .*run was trained on"):
        workdir.own_data()
    inputs = workdir.arm("central").inputs
    inputs.parent.mkdir(parents=True)
    for digest, is_own in (("0" * 64, False), (None, False), (summary["digest"], True)):
        inputs.write_text(json.dumps({"dataset": [digest, summary["options"]]}))
        if is_own:
            assert workdir.own_data() == data
        else:
            with pytest.raises(ValueError, match=r"take data_dir out of .*run/manifest\.json"):
                workdir.own_data()
    options = summary["options"] | {"image_size": 7}
    inputs.write_text(json.dumps({"dataset": [summary["digest"], options]}))
    with pytest.raises(ValueError, match="is not the dataset"):
        workdir.own_data()
    inputs.unlink()
    workdir.data.symlink_to(data)
    workdir.manifest.unlink()
    assert workdir.own_data() == workdir.data  # nothing tells it from the experiment's


HOLD = """
import sys
from pathlib import Path
from fl_jax.workdir import EvaluationFolder, SeedsFolder
with globals()[sys.argv[1]](Path(sys.argv[2])) as out:
    out.begin()
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("kind", [EvaluationFolder, SeedsFolder])
def test_results_go_to_a_folder_of_one_process_without_earlier_results(tmp_path, kind):
    with kind(tmp_path / "out") as out:
        out.begin()
        for path in out.files:
            path.write_text("earlier")
        out.begin()
        assert all(path.exists() for path in out.files)
    (out.folder / "mine.csv").write_text("kept")
    command = [sys.executable, "-c", HOLD, kind.__name__, str(out.folder)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        assert not any(path.exists() for path in out.files)
        with (
            kind(out.folder) as second,
            pytest.raises(ValueError, match=rf"process {process.pid} .* use another --out"),
        ):
            second.begin()
        process.communicate()
    assert (out.folder / "mine.csv").read_text() == "kept"


def test_what_is_written_is_read_back(tmp_path):
    workdir = Workdir(tmp_path)
    assert workdir.read_manifest() is workdir.read_saliency() is None
    manifest = Manifest({"seed": 3, "rounds": 2}, command="a b", stages={"dataset": 1.5})
    workdir.write_manifest(manifest)
    assert workdir.read_manifest() == manifest
    arm = workdir.arm("local_a")
    assert arm.read_done() is None
    assert arm.read_metrics() == []
    arm.folder.mkdir(parents=True)
    done = Done(best_round=1, rounds=2, predictions=["local_a"])
    arm.write_done(done)
    assert arm.read_done() == done
    arm.metrics.write_text('{"round": 1, "loss": NaN}\n{"round": 2, "site_loss": {"a": 1}}\n')
    first, second = arm.read_metrics()
    assert np.isnan(first.loss or 0)
    assert second == RoundRecord(2, site_loss={"a": 1.0})


def test_an_arm_is_complete_with_all_of_its_predictions(tmp_path):
    workdir = Workdir(tmp_path)
    arm = workdir.arm("federated")
    arm.folder.mkdir(parents=True)
    assert not workdir.is_complete("federated")
    arm.write_done(Done(predictions=[]))
    assert not workdir.is_complete("federated")
    arm.write_done(Done(predictions=["federated", PERSONAL]))
    text, numbers = np.array(["a"]), np.zeros((1, 6))
    one = Predictions(text, text, text, np.array(["test"]), numbers.astype(np.uint8), numbers)
    workdir.write_predictions("federated", one)
    assert not workdir.is_complete("federated")
    workdir.write_predictions(PERSONAL, one)
    assert workdir.is_complete("federated")
    for name in ("other", "local_b", "local_a", "central"):
        workdir.write_predictions(name, one)
    assert workdir.predicted() == ["federated", "central", "local_a", "local_b", "other", PERSONAL]


def test_arms_are_those_whose_training_has_begun(tmp_path):
    workdir = Workdir(tmp_path)
    assert workdir.arms() == []
    for name in ("local_b", "central"):
        workdir.arm(name).folder.mkdir(parents=True)
        workdir.arm(name).inputs.write_text("{}")
    workdir.arm("federated").checkpoints.mkdir(parents=True)
    assert [arm.name for arm in workdir.arms()] == ["central", "local_b"]
    assert [arm.name for arm in workdir.arms_with_checkpoints()] == ["federated"]


@pytest.mark.parametrize("name", ["../x", "..", "/etc", "a/b", "", "a\0b"])
def test_a_name_stays_in_its_folder(tmp_path, name):
    workdir = Workdir(tmp_path)
    for path in (
        *(workdir.arm, workdir.predictions, workdir.study_predictions, workdir.saliency_panel),
        *(workdir.evaluation, lambda name: workdir.lock(name).__enter__()),
    ):
        with pytest.raises(ValueError, match="single part of a path"):
            path(name)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (
            {"seed": -1},
            r"manifest\.json: it is \{.*\}: config: Expected `int` >= 0 at `\$\.seed`",
        ),
        ({"data_dir": 3}, r"Expected `str \| null`, got `int` at `\$\.data_dir`"),
        ([1], r"manifest\.json: config is \[1\]: Expected `object`, got `array`"),
    ],
)
def test_an_error_names_the_field(tmp_path, config, words):
    (tmp_path / "manifest.json").write_text(json.dumps({"config": config}))
    with pytest.raises(ValueError, match=words):
        Workdir(tmp_path).read_manifest()


def test_a_line_of_metrics_is_named(tmp_path):
    arm = Workdir(tmp_path).arm("central")
    arm.folder.mkdir(parents=True)
    arm.metrics.write_text('{"round": 1}\n{"round": -2}\n')
    with pytest.raises(ValueError, match=r"metrics\.jsonl, line 2: round is -2: .*train this arm"):
        arm.read_metrics()


FILES = re.compile(
    r"(^|/)(manifest|done|inputs|results|cross_site|saliency|partition|evaluation|seeds)\.json$|"
    r"metrics\.jsonl|partition\.(csv|png|new)|(^|/)(evaluation|seeds)\.(csv|html)|judged\.csv|^report\.html|"
    r"^\.locks|^(models|predictions|evaluations|saliency)/"
)
FOLDERS = {"models", "predictions", "evaluations", "tensorboard", "checkpoints", "features", "data"}
FOLDERS |= {"cohort", "figures", "tables", "saliency", "studies"}
ELSEWHERE = {
    "fl_jax.experiment.config": {
        "Where metrics go, in addition to metrics.jsonl."
    },  # a field's help
    "launch.sweep.sweep": {"results.json"},  # of a sweep's folder
}
"""Texts that name no file of a workdir."""
ABOVE = sorted(m for m in MODULES if m.startswith(("launch", "fl_jax.experiment", "fl_jax.report")))


def spelled(code):
    """The texts in code, docstrings apart, that name a workdir's file, or join a path to its folder."""
    tree = ast.parse(code)
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    joined = {
        id(n.right)
        for n in ast.walk(tree)
        if isinstance(n, ast.BinOp) and isinstance(n.op, ast.Div)
    }
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs
        if FILES.search(node.value) or (id(node) in joined and node.value in FOLDERS)
    }


@pytest.mark.parametrize("module", ABOVE)
def test_no_other_module_spells_a_workdirs_file(module):
    code = MODULES[module].read_text(encoding="utf-8")
    assert spelled(code) <= ELSEWHERE.get(module, set())


@pytest.mark.parametrize(
    "code",
    [
        *("root / 'models' / name", "open(f'{root}/done.json')", "x = 'predictions/a.csv'"),
        *(
            "path.with_name('partition.new')",
            "root.glob('models/*/inputs.json')",
            "root / 'cohort'",
        ),
    ],
)
def test_a_spelled_name_is_noticed(code):
    assert spelled(code)
    assert not spelled(f'"""{code}"""')
    assert not spelled("results['models']")
