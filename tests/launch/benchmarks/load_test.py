"""A long run ends as it began; by default a short one of few sites, `-m slow` for thousands of rounds."""

import json
import re
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from types import SimpleNamespace

import pytest

from launch import benchmark
from launch.benchmarks import load

TINY = load.Case(20, 4, 30, ("not_finite(5, share=0.3)", "drop_out(20, share=0.2)"))


def test_the_suite_gives_what_it_promises(monkeypatch, capsys):
    monkeypatch.setattr(load, "CASES", {"tiny": TINY, "other": TINY})
    result = benchmark.benchmark("load", SimpleNamespace(cases="tin", devices=0))
    json.dumps(result)
    assert list(result["measured"]) == ["tiny"]
    found = result["measured"]["tiny"]
    assert found["rounds"] == 30
    assert found["files"][0] == found["files"][1]
    assert "save ms" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("name", load.CASES)
def test_nothing_grows_with_the_rounds(name, tmp_path):
    case = load.CASES[name]._replace(rounds=2000)
    # In a process of its own: what other tests have held and let go of would be counted.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as own:
        found = own.submit(load.measure, case, tmp_path).result()
    assert found.files[1] <= found.files[0]
    assert found.held_mib[1] < found.held_mib[0] + 4
    assert found.save_ms[1] < 2 * found.save_ms[0]
    assert found.reads > 100


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"round": 1}\n{"round"', "the last line is not whole"),
        ('{"round": 1}\n{"rou\n', "a line is not whole"),
        ('{"round": 1}\n{"round": 3}\n', r"after round 0, rounds \[1, 3\]"),
        ('{"round": 1}\n{"round": 1}\n', r"after round 0, rounds \[1, 1\]"),
    ],
)
def test_the_reader_finds_what_it_looks_for(tmp_path, text, said):
    path = tmp_path / "metrics.jsonl"
    path.write_text(text)
    reader = load.Reader(path)
    reader._thread.join(timeout=10)
    with pytest.raises(ValueError, match=f"{re.escape(str(path))}: {said}"):
        reader.stop()
