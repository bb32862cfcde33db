"""The suite of faults finds what it looks for: what is lost is named, moments are where they should be."""

import json
import random
import signal

import pytest
from chaos import damage, disturbances, outcomes, programs
from chaos.programs import Ended, Operation


def test_moments_are_of_their_phase():
    kinds = ["training", "save", "save", "deletion", "training"]
    kinds += ["evaluation", "evaluation", "training", "report"]
    done = [Operation(float(n), kind, "open", "x") for n, kind in enumerate(kinds)]
    named = {
        phase: [(m.kind, m.number) for m, _ in programs.moments(done, phase)]
        for phase in programs.KINDS
    }
    assert named["save"] == [("save", 0), ("save", 1)]
    assert named["deletion"] == [("deletion", 0)]
    # What is computed before the first of its files belongs to an evaluation or a report.
    assert named["evaluation"] == [("training", 1), ("evaluation", 0)]
    assert named["report"] == [("training", 2), ("report", 0)]
    assert named["training"] == [("training", 0), ("evaluation", 1)]
    drawn = [programs.draw(random.Random(n), done, ("save",)) for n in range(50)]
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
    assert programs.kind(path, event) == kind


def test_a_refusal_is_a_sentence_and_status_1():
    assert not disturbances.refused(Ended(1, "x\nerror: it is read-only", []), "read-only")
    for status, said in ((0, "error: a"), (1, "a"), (1, "Traceback\nerror: a"), (-9, "error: a")):
        assert disturbances.refused(Ended(status, said, []), "a")


def test_a_half_file_and_another_bit_are_found_and_times_are_not(tmp_path):
    (tmp_path / "predictions").mkdir()
    csv, metrics = tmp_path / "predictions" / "a.csv", tmp_path / "metrics.jsonl"
    csv.write_text("0.5\n")
    metrics.write_text(json.dumps({"round": 1, "seconds": 3}) + "\n")
    wanted = outcomes.outcome(tmp_path)
    metrics.write_text(json.dumps({"round": 1, "seconds": 4}) + "\n")
    (tmp_path / "predictions" / "b.csv.partial").write_text("0.")
    assert outcomes.differences(outcomes.outcome(tmp_path), wanted) == ["predictions/b.csv.partial"]
    assert not disturbances.half_files(tmp_path, wanted)  # by its name it is not whole
    csv.write_text("0.")
    metrics.write_text(json.dumps({"round": 1}))
    assert disturbances.half_files(tmp_path, wanted) == ["predictions/a.csv"]
    assert "metrics.jsonl" in outcomes.differences(outcomes.outcome(tmp_path), wanted)


@pytest.mark.parametrize("name", damage.KINDS)
def test_damage_is_done_to_the_newest_steps(tmp_path, name):
    for step in (2, 9, 10):
        for file in ("tree/_METADATA", "tree/d", "facts/x"):
            path = tmp_path / str(step) / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"content")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    damage.KINDS[name](tmp_path, random.Random(0))
    changed = [p for p, was in before.items() if not p.exists() or p.read_bytes() != was]
    steps = {path.relative_to(tmp_path).parts[0] for path in changed}
    assert steps == ({"9"} if name == "half-deleted step before the newest" else {"10"})
