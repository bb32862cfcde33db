"""A long run ends as it began; the default run tries few sites and rounds, `-m slow` thousands."""

import re
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
from chaos import long_run

TINY = long_run.Case(20, 4, 30, ("not_finite(5, share=0.3)", "drop_out(20, share=0.2)"))
LEAK = 40 / 1024
"""MiB that tensorstore may keep of each save; see the README of `fl_jax/experiment`."""


def test_a_short_run_keeps_no_file_open(tmp_path):
    measured = long_run.measure(TINY, tmp_path)
    assert measured.rounds == 30
    assert measured.files[0] == measured.files[1]


@pytest.mark.slow
@pytest.mark.parametrize("name", long_run.CASES)
def test_nothing_but_tensorstore_grows_with_the_rounds(name, tmp_path):
    case = long_run.CASES[name]._replace(rounds=2000)
    # In a process of its own, since memory that other tests used would count.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        measured = pool.submit(long_run.measure, case, tmp_path).result()
    saves = 0.8 * case.rounds  # between the middles of the second and the last tenth
    assert measured.files[1] <= measured.files[0]
    assert measured.held_mib[1] < measured.held_mib[0] + 4 + LEAK * saves
    assert measured.save_ms[1] < 2 * measured.save_ms[0]
    assert measured.reads > 100


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
    reader = long_run.Reader(path)
    reader._thread.join(timeout=10)
    with pytest.raises(ValueError, match=f"{re.escape(str(path))}: {said}"):
        reader.stop()
