"""Each tracker keeps every scalar of every round, over a resumed training too; nothing leaves the machine."""

import struct

import pytest

from fl_jax.experiment import tracking

ROUNDS = {1: {"loss": 0.75, "site_loss/a": 0.5}, 2: {"loss": 0.5}, 3: {"loss": 0.25}}


def log(kind, folder, rounds):
    tracker = tracking.make_tracker(kind, folder, name="federated")
    for step in rounds:
        tracker.log(step, ROUNDS[step])
    tracker.close()


def test_an_unknown_tracker_is_named(tmp_path):
    with pytest.raises(
        ValueError, match="tracker='tensorbord': must be one of tensorboard, mlflow"
    ):
        tracking.make_tracker("tensorbord", tmp_path, name="central")


def test_none_writes_nothing(tmp_path):
    log("none", tmp_path / "none", [1, 2])
    assert not (tmp_path / "none").exists()


def events(path):
    """The records of an event file: length, its CRC, content, CRC."""
    data, place = path.read_bytes(), 0
    while place < len(data):
        (length,) = struct.unpack_from("<Q", data, place)
        yield data[place + 12 : place + 12 + length]
        place += 16 + length


def test_tensorboard_purges_what_a_resumed_training_repeats(tmp_path):
    from tensorboardX.proto.event_pb2 import Event, SessionLog

    log("tensorboard", tmp_path, [1, 2])
    log("tensorboard", tmp_path, [2, 3])
    parsed = []
    for path in sorted(tmp_path.iterdir(), key=lambda p: p.name):
        for content in events(path):
            parsed.append(Event())
            parsed[-1].ParseFromString(content)
    starts = [e.step for e in parsed if e.session_log.status == SessionLog.START]
    assert starts == [2]
    scalars = [(e.step, v.tag, v.simple_value) for e in parsed for v in e.summary.value]
    wanted = [
        (step, name, value)
        for s in (1, 2, 2, 3)
        for step in [s]
        for name, value in ROUNDS[s].items()
    ]
    assert sorted(scalars) == sorted(wanted)


def test_mlflow_keeps_one_run_in_its_file_store(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow", reason="needs the extra mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    log("mlflow", tmp_path, [1, 2])
    log("mlflow", tmp_path, [3])
    client = mlflow.MlflowClient(tracking_uri=tmp_path.as_uri())
    (experiment,) = [e for e in client.search_experiments() if e.name == "fl_jax"]
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.run_name == "federated"
    history = client.get_metric_history(run.info.run_id, "loss")
    assert [(m.step, m.value) for m in history] == [(s, ROUNDS[s]["loss"]) for s in (1, 2, 3)]


def test_wandb_is_offline(tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason="needs the extra wandb")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    log("wandb", tmp_path, [1, 2])
    (run,) = (tmp_path / "wandb").glob("offline-run-*")
    assert list(run.glob("run-*.wandb"))
    assert b"site_loss/a" in next(run.glob("run-*.wandb")).read_bytes()
