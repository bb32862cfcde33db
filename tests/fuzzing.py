"""Seeded mutations of good input, and the loop that holds a reader to its promise for each of them."""

import contextlib
import faulthandler
import json
import os
import resource
import sys
import time

import numpy as np

COUNT = int(os.environ.get("FL_JAX_FUZZ", "0"))
"""How many inputs a nightly run makes; 0 for the share of the default run."""
SECONDS = 5.0
"""Of processor time that a single input may take, whatever else the machine does."""
HANGING = 300.0
"""After so many seconds of one input the process ends."""
WORDS = (
    *("", " ", "nan", "inf", "-inf", "1e999", "-1", "0", "1", "2", "0_1", "1.0", "0x1", "٣", "１"),
    *("../x", "/etc/passwd", "..\\x", "a\0b", "..", ".", "~", "$HOME", "%s", "{0}", "a/b", "C:\\x"),
    *("=1+1", "\ufeff", "\u202e", "é", "x" * 300, "x" * 70000, '"', '""', "'", ",", "\n", "\r\n"),
    *("None", "null", "true", "[]", "__import__('os')", "holdout", "all_sites", "train", "any"),
)
"""Values that tables and configs do not expect."""


VALUES = (
    *(None, True, -1, 0, 3, 10**30, 0.5, float("nan"), float("inf"), [], ["a"], [[]], {}, {"a": 1}),
    *({"any": None}, "../../x", *WORDS),
)
"""The same for JSON."""


def count(default):
    """How many inputs to make."""
    return COUNT or default


def each(seed, inputs, make, judge):
    """Makes inputs and judges them.

    Args:
        seed: of the inputs; an input's own generator is `default_rng((seed, number))`.
        inputs: how many.
        make: `(generator) -> input`.
        judge: `(input) -> outcome`, any word to count; raises where the reader broke its promise.

    Returns:
        How often each outcome occurred.
    """
    outcomes = {}
    for number in range(inputs):
        generator = np.random.default_rng((seed, number))
        made = make(generator)
        # Ends the process where no Python code runs any more, as in a decoder that hangs.
        faulthandler.dump_traceback_later(HANGING, exit=True, file=sys.__stderr__)
        began = time.process_time()
        try:
            outcome = judge(made)
        except BaseException as error:
            raise AssertionError(f"input {number} of seed {seed}: {error!r}") from error
        finally:
            faulthandler.cancel_dump_traceback_later()
        took = time.process_time() - began
        assert took < SECONDS, f"input {number} of seed {seed} took {took:.1f} s of processor time"
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
    return outcomes


def table(generator, text):
    """A CSV file's bytes with one to three faults."""
    data = text.encode()
    for _ in range(generator.integers(1, 4)):
        data = _table_fault(generator, data)
    return data


def _table_fault(generator, data):
    lines = data.split(b"\n")
    row = int(generator.integers(len(lines)))
    cells = lines[row].split(b",")
    cell = int(generator.integers(len(cells)))
    word = WORDS[generator.integers(len(WORDS))].encode(errors="surrogatepass")
    match int(generator.integers(11)):
        case 0:
            cells[cell] = word
        case 1:
            del cells[cell]
        case 2:
            cells.insert(cell, word)
        case 3:
            lines.insert(row, lines[int(generator.integers(len(lines)))])
        case 4:
            del lines[row]
        case 5:
            other = int(generator.integers(len(cells)))
            cells[cell], cells[other] = cells[other], cells[cell]
        case 6:
            return data[: int(generator.integers(len(data) + 1))]
        case 7:
            return flipped(generator, data)
        case 8:
            place = int(generator.integers(len(data) + 1))
            return data[:place] + generator.bytes(int(generator.integers(1, 9))) + data[place:]
        case 9:
            return data.decode(errors="replace").encode(("utf-16", "utf-8-sig")[cell % 2])
        case 10:
            return data.replace(b"\n", b"\r\n" if cell % 2 else b"\r")
    if row < len(lines):
        lines[row] = b",".join(cells) if cells != lines[row].split(b",") else lines[row]
    return b"\n".join(lines)


def flipped(generator, data, bits=1):
    """Bytes with some bits turned over."""
    changed = bytearray(data)
    for _ in range(bits if data else 0):
        changed[int(generator.integers(len(data)))] ^= 1 << int(generator.integers(8))
    return bytes(changed)


def places(tree):
    """Every dict and list in JSON with something in it."""
    inner = [*tree.values()] if isinstance(tree, dict) else tree if isinstance(tree, list) else []
    return [tree] * bool(inner) + [place for one in inner for place in places(one)]


def changed(generator, data):
    """The text of a JSON file with a value or a name that is another, or missing."""
    tree = json.loads(data)
    found = places(tree)
    place = found[int(generator.integers(len(found)))]
    key = [*place][int(generator.integers(len(place)))] if isinstance(place, dict) else 0
    match int(generator.integers(3)):
        case 0:
            place[key] = VALUES[int(generator.integers(len(VALUES)))]
        case 1:
            del place[key]
        case 2 if isinstance(place, dict):
            place[WORDS[int(generator.integers(len(WORDS)))]] = place.pop(key)
    return json.dumps(tree).encode()


def broken(generator, data, name="x.json"):
    """A CSV, JSON or JSON lines file's bytes with a fault."""
    if name.endswith(".csv"):
        return table(generator, data.decode())
    if name.endswith(".jsonl"):
        lines = data.splitlines()
        row = int(generator.integers(len(lines)))
        lines[row] = broken(generator, lines[row], "")
        return b"\n".join(lines)
    match int(generator.integers(9)):
        case 0:
            return flipped(generator, data)
        case 1:
            return data[: int(generator.integers(len(data)))]
        case 2:
            return b'{"a":' * (depth := int(generator.integers(1, 3000))) + b"1" + b"}" * depth
    return changed(generator, data)


@contextlib.contextmanager
def nothing_written(folder, *known):
    """Asserts that a folder holds afterwards what it held before, and files in `known`."""
    before = listing(folder)
    yield
    after = listing(folder)
    assert after - before <= set(known), f"written: {sorted(after - before)}"
    assert before <= after, f"removed: {sorted(before - after)}"


def listing(folder):
    """Every path in a folder, relative to it."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@contextlib.contextmanager
def no_file_above(size):
    """The system writes no file beyond so many bytes, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
