"""Named streams: what one consumer draws depends on its name alone, whoever else draws."""

import ast
import collections
import zlib
from pathlib import Path

import jax
import numpy as np

from fl_jax.core.keys import site_key, stream

ROOT = Path(__file__).parent.parent.parent
KEY = jax.random.key(3)


def names():
    """Every call of `stream` in the code, with the name that it gives, or the first words of it.

    Runners and benchmarks are left out: what they compare begins with the same parameters on purpose.
    """
    for folder in ("fl_jax", "launch"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if {"runners", "benchmarks"} & {*path.parts}:
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and ast.unparse(node.func) == "stream":
                    name = node.args[1]
                    given = name.values[0] if isinstance(name, ast.JoinedStr) else name
                    assert isinstance(given, ast.Constant), f"{path}: name the stream by a text"
                    yield str(path.relative_to(ROOT)), ast.unparse(node.args[0]), given.value


def test_no_two_consumers_share_a_stream():
    calls = list(names())
    assert len(calls) >= 8
    counts = collections.Counter((key, name) for _, key, name in calls)
    assert [call for call, count in counts.items() if count > 1] == []
    assert len({zlib.crc32(name.encode()) for *_, name in calls}) == len({c[2] for c in calls})


def test_a_new_consumer_shifts_no_other():
    def draws(consumers):
        return {name: jax.random.normal(stream(KEY, name), (4,)) for name in consumers}

    old = draws(["init", "participation", "aggregate"])
    new = draws(["augmentation", "aggregate", "noise", "init", "participation"])
    for name, drawn in old.items():
        np.testing.assert_array_equal(new[name], drawn)
    assert len({np.asarray(drawn).tobytes() for drawn in new.values()}) == 5


def test_a_new_site_or_round_shifts_no_other():
    first = jax.random.key_data(site_key(KEY, 2, 1))
    many = {(r, s): jax.random.key_data(site_key(KEY, r, s)) for r in range(4) for s in range(5)}
    np.testing.assert_array_equal(many[2, 1], first)
    assert len({np.asarray(data).tobytes() for data in many.values()}) == 20


def test_a_stream_is_the_same_in_every_process():
    data = jax.random.key_data(stream(jax.random.key(0), "init")).tolist()
    assert data == jax.random.key_data(jax.random.fold_in(jax.random.key(0), 0xC674E474)).tolist()
