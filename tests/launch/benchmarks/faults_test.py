"""The suite of faults finds what it looks for: what is lost is named, moments are where they should be."""

import json
import random
import signal
from types import SimpleNamespace

import pytest

from launch import benchmark
from launch.benchmarks import disturbed, faults, outcomes, sites, spoilt, trials
from launch.benchmarks.tiny import Bench
from launch.benchmarks.trials import Ended, Operation


def test_a_table_counts_and_names(tmp_path):
    def trial(bench, workdir, generator):
        bench.kills += 1
        return generator.choice(["", "other bits in a"])

    found = faults.attempt(Bench(tmp_path), "SIGTERM", trial, 20)
    assert (found["trials"], found["note"]) == (20, "20 kills")
    assert found["survived"] == 20 - len(found["lost"])
    assert 0 < len(found["lost"]) < 20
    assert found["lost"][0].endswith(": other bits in a")
    assert faults.cells("x", found)[:3] == ("x", "20", str(found["survived"]))


def test_what_cannot_be_tried_or_hangs_is_told(tmp_path):
    def refuse(bench, workdir, generator):
        raise disturbed.NotTriedError("no rights")

    def hang(bench, workdir, generator):
        raise TimeoutError("still runs")

    found = faults.attempt(Bench(tmp_path), "disk full", refuse, 3)
    assert (found["trials"], found["survived"], found["note"]) == (0, 0, "not tried: no rights")
    assert faults.attempt(Bench(tmp_path), "disk full", hang, 1)["survived"] == 0


@pytest.mark.parametrize(
    ("flags", "message"),
    [({"trials": 0}, "trials=0: must be at least 1"), ({"cases": "nothing"}, "finds none of")],
)
def test_bad_flags_are_named(flags, message):
    with pytest.raises(ValueError, match=message):
        faults.run(SimpleNamespace(**{"trials": 1, "cases": ""} | flags))


def test_moments_are_of_their_phase():
    kinds = ["training", "save", "save", "deletion", "training"]
    kinds += ["evaluation", "evaluation", "training", "report"]
    done = [Operation(float(n), kind, "open", "x") for n, kind in enumerate(kinds)]
    named = {
        phase: [(m.kind, m.number) for m, _ in trials.moments(done, phase)]
        for phase in trials.KINDS
    }
    assert named["save"] == [("save", 0), ("save", 1)]
    assert named["deletion"] == [("deletion", 0)]
    # What is computed before the first of its files belongs to an evaluation or a report.
    assert named["evaluation"] == [("training", 1), ("evaluation", 0)]
    assert named["report"] == [("training", 2), ("report", 0)]
    assert named["training"] == [("training", 0), ("evaluation", 1)]
    drawn = [trials.draw(random.Random(n), done, ("save",)) for n in range(50)]
    assert {moment.number for moment in drawn} == {0, 1}
    assert {moment.delay > 0 for moment in drawn} == {True, False}
    assert {moment.signal for moment in drawn} == {signal.SIGKILL}


@pytest.mark.parametrize(
    ("path", "event", "kind"),
    [
        ("models/a/checkpoints/3/tree/x", "os.remove", "deletion"),
        ("models/a/checkpoints/3.orbax-checkpoint-tmp/x", "os.remove", "save"),
        ("models/a/checkpoints/3.orbax-checkpoint-tmp", "os.rename", "save"),
        ("models/a/metrics.jsonl", "open", "training"),
        ("models/a/done.json.partial", "os.rename", "evaluation"),
        ("predictions/a.csv.partial", "open", "evaluation"),
        ("report.html.partial", "open", "report"),
        ("figures", "os.mkdir", "report"),
    ],
)
def test_an_operation_is_of_its_kind(path, event, kind):
    assert trials.kind(path, event) == kind


def test_a_refusal_is_a_sentence_and_status_1():
    assert not disturbed.refused(Ended(1, "x\nerror: it can only be read", []), "only be read")
    for status, said in ((0, "error: a"), (1, "a"), (1, "Traceback\nerror: a"), (-9, "error: a")):
        assert disturbed.refused(Ended(status, said, []), "a")


def test_a_half_file_and_another_bit_are_found_and_times_are_not(tmp_path):
    (tmp_path / "predictions").mkdir()
    csv, metrics = tmp_path / "predictions" / "a.csv", tmp_path / "metrics.jsonl"
    csv.write_text("0.5\n")
    metrics.write_text(json.dumps({"round": 1, "seconds": 3}) + "\n")
    wanted = outcomes.outcome(tmp_path)
    metrics.write_text(json.dumps({"round": 1, "seconds": 4}) + "\n")
    (tmp_path / "predictions" / "b.csv.partial").write_text("0.")
    assert outcomes.differences(outcomes.outcome(tmp_path), wanted) == ["predictions/b.csv.partial"]
    assert not disturbed.half_files(tmp_path, wanted)  # by its name it is not whole
    csv.write_text("0.")
    metrics.write_text(json.dumps({"round": 1}))
    assert disturbed.half_files(tmp_path, wanted) == ["predictions/a.csv"]
    assert "metrics.jsonl" in outcomes.differences(outcomes.outcome(tmp_path), wanted)


@pytest.mark.parametrize("name", spoilt.KINDS)
def test_damage_is_done_to_the_newest_steps(tmp_path, name):
    for step in (2, 9, 10):
        for file in ("tree/_METADATA", "tree/d", "facts/x"):
            path = tmp_path / str(step) / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"content")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    spoilt.KINDS[name](tmp_path, random.Random(0))
    changed = [p for p, was in before.items() if not p.exists() or p.read_bytes() != was]
    steps = {path.relative_to(tmp_path).parts[0] for path in changed}
    assert steps == ({"9"} if name == "half-deleted step before the newest" else {"10"})


def test_every_fault_of_sites_is_in_the_table():
    assert {f"sites: {name}" for name in sites.NAMES} <= {*disturbed.FAULTS}
    assert len(sites.NAMES) == 10
    assert "faults" in benchmark.suites()
    assert not sites.struck("not_finite", 0)


def test_a_state_that_is_not_finite_is_lost(monkeypatch):
    monkeypatch.setattr(sites, "all_finite", lambda state: False)
    assert "not finite after round 1" in sites.struck("not_finite", 0)
