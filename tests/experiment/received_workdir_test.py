"""A finished workdir from a stranger: each hostile edit is refused or has no effect, and nothing is run."""

import json
import os
import re
import shutil
import signal

import jax
import pytest
from report import fake_experiment
from reporters import Said

from fl_jax.data.metadata import read_summary
from fl_jax.experiment import restore
from fl_jax.experiment.checkpoint import Store
from fl_jax.experiment.checkpoint_summary import summarize_checkpoints
from fl_jax.experiment.config import Config
from fl_jax.report import survey
from fl_jax.workdir import Workdir, read_records

MODEL = "resnet(widths=(4,), blocks=(1,), strides=(2,), stem=4)"
CONFIG = Config(model=MODEL, image_size=8, optimizer="sgd(0.1)")
LONGEST = 4000
"""Characters of an error."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = fake_experiment.make(tmp_path_factory.mktemp("received") / "run")
    for path in (folder / "predictions").glob("[!f]*.csv"):
        path.unlink()
    arm = Workdir(folder).arm("federated")
    summary = read_summary(folder / "data")
    dataset = [summary["digest"], summary["options"]]
    known = CONFIG.numbers() | {"dataset": dataset, "partition_digest": "2"}
    arm.inputs.write_text(json.dumps(known))
    task = restore.models.network(CONFIG, CONFIG.input_shape).task
    state = restore._saved(CONFIG, "federated", task, len(fake_experiment.SITES))
    Store(arm.checkpoints).save(1, state, {"best_round": 1})
    read(folder)
    return folder


def read(folder, *, model=True):
    """The errors of what `launch.report` reads, and with `model` a resumed training, too."""
    workdir, errors = Workdir(folder), []
    steps = [
        lambda: read_records(workdir),
        lambda: survey.summarize(workdir.read_manifest().config.get("survey", "")),
        lambda: restore.load(workdir, Said()),
        lambda: list(summarize_checkpoints(workdir)),
    ]
    for step in steps if model else steps[:2]:
        try:
            step()
        except (ValueError, OSError, ModuleNotFoundError) as error:
            errors.append(str(error))
    return errors


def hangs(*_):
    raise AssertionError("a program would hang")


@pytest.fixture
def received(finished, tmp_path, monkeypatch):
    """A copy whose folder is importable, with a module that leaves a trace; a hang is an error."""
    folder = shutil.copytree(finished, tmp_path / "run")
    (folder / "evil.py").write_text(
        f"open({str(tmp_path / 'ran')!r}, 'w')\ndef evil(*_): pass\nText = StandardCheckpointHandler = evil\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.syspath_prepend(folder)
    signal.signal(signal.SIGALRM, hangs)
    signal.alarm(60)
    yield folder
    signal.alarm(0)
    assert not (tmp_path / "ran").exists()


def check(errors):
    for error in errors:
        assert "root:" not in error
        assert len(error) < LONGEST


def edit(path, **fields):
    values = json.loads(path.read_text())
    values.get("config", values).update(fields)
    path.write_text(json.dumps(values))


def test_the_workdir_is_sound(finished):
    assert read(finished) == []
    model = restore.load(Workdir(finished), Said())
    logits = model.logits(model.params, jax.numpy.zeros((1, 8, 8), "int16"))
    assert logits.shape == (1, 6)


def test_a_spec_names_no_code_outside_its_package(received):
    values = ("evil()", "run.evil()", "../evil()", "__import__('evil')", "lambda: evil()")
    path = received / "models" / "federated" / "inputs.json"
    sound = path.read_text()
    for field in ("model", "loss", "optimizer", "algorithm", "aggregator", "round_schedule"):
        for value in values:
            path.write_text(sound)
            edit(path, **{field: value})
            with pytest.raises(ValueError, match=re.escape(repr(value))):
                restore.load(Workdir(received), Said())


def test_a_model_that_is_not_the_checkpoints_is_refused_before_it_is_made(received):
    path = received / "models" / "federated" / "inputs.json"
    for value in ("resnet(widths=(10**12,))", MODEL.replace("(4,)", "(999996,)"), "mlp(6)"):
        edit(path, model=value)
        with pytest.raises(ValueError, match=r"not the arrays that this run has|literal call"):
            restore.load(Workdir(received), Said())


def test_checkpoints_name_no_code(received):
    step = received / "models" / "federated" / "checkpoints" / "1"
    for name, known in (
        ("_CHECKPOINT_METADATA", r"orbax\.\S*Handler"),
        ("arrays/_METADATA", r"np\.ndarray"),
    ):
        text, number = re.subn(known, "evil.evil", (step / name).read_text())
        assert number
        (step / name).write_text(text)
    assert read(received) == []


def test_paths_of_a_manifest(received, tmp_path):
    """No file of the user's is quoted; nothing blocks or has no end."""
    os.mkfifo(tmp_path / "pipe")
    values = ("/etc", "/dev/zero", "/etc/passwd", "/proc/self", "a\0b", str(tmp_path / "pipe"))
    for field in ("data_dir", "source", "survey"):
        for value in values:
            edit(
                received / "manifest.json",
                **{"data_dir": "", "source": "", "survey": "", field: value},
            )
            check(read(received, model=False))


FILES = (
    *("manifest.json", "partition.csv", "data/summary.json", "predictions/federated.csv"),
    *("models/federated/inputs.json", "models/federated/metrics.jsonl"),
    *("models/federated/checkpoints/1/facts/metadata", "models/federated/done.json"),
)  # fmt: skip
HOSTILE = {
    "pipe": os.mkfifo,
    "zeros": lambda path: path.symlink_to("/dev/zero"),
    "passwords": lambda path: path.symlink_to("/etc/passwd"),
    "itself": lambda path: path.symlink_to(path.name),
    "folder": lambda path: path.mkdir(),
    "deep": lambda path: path.write_text('{"a":' * 10**5),
    "number": lambda path: path.write_text("9" * 10**5),
    "nul": lambda path: path.write_bytes(bytes(1000)),
    "sparse": lambda path: os.truncate(os.open(path, os.O_CREAT | os.O_RDWR), 2**38),
}


@pytest.mark.parametrize("name", FILES)
def test_files_that_are_none(received, name):
    path = received / name
    for kind, make in HOSTILE.items():
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        path.unlink(missing_ok=True)
        make(path)
        errors = read(received, model="models" in name)
        assert errors or kind == "itself"  # a link to nothing is no file
        check(errors)


def test_arms_of_any_name(received):
    for name in ("\x1b[2J", "a\nb", "..x", "<b>", "%s"):
        shutil.copytree(received / "models" / "federated", received / "models" / name)
        shutil.copy(
            received / "predictions" / "federated.csv", received / "predictions" / f"{name}.csv"
        )
    read(received)
    for name in ("../federated", "/etc", ".", "..", "a\0", ""):
        with pytest.raises(ValueError, match="is no valid name"):
            restore.load(Workdir(received), Said(), name)
