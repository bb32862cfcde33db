"""Files of weights with faults of every kind: the arrays that are in them, or a refusal; nothing is run."""

import contextlib
import hashlib
import importlib.util
import io
import json
import pickle
import zipfile

import jax
import numpy as np
import pytest
import weight_files
from fuzzing import WORDS, count, each, flipped, nothing_written

from fl_jax.experiment import export
from fl_jax.models.pretrained import convert, state_dict

ARRAYS = {
    "conv1.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2),
    "fc.weight": np.arange(6, dtype=np.float16).reshape(2, 3),
    "count": np.array(7),
    "Dense_0/bias": np.zeros((0, 3)),
}
MODEL = {
    "params": {
        "conv1": {"kernel": jax.ShapeDtypeStruct((2, 2, 6, 2), np.float32)},
        "fc": {"kernel": jax.ShapeDtypeStruct((3, 2), np.float32)},
    }
}
VALUES = (
    *(None, True, -1, 0, 3, 8, 2**31, 2**63, 10**400, 1.0, float("nan"), "F32", "BOOL", "U8", "x"),
    *([], [0, 8], [8, 0], [-1, -8], [2.0, 2], [[2]], {}, {"dtype": "F32"}, *WORDS[:20]),
)


def changed(generator, tree):
    """JSON with one value or name that is another, missing or moved."""
    changed_tree = json.loads(json.dumps(tree))
    inner, keys = changed_tree, [*changed_tree]
    for _ in range(int(generator.integers(3))):
        deeper = [key for key in keys if isinstance(inner[key], dict | list) and inner[key]]
        if not deeper:
            break
        inner = inner[deeper[int(generator.integers(len(deeper)))]]
        keys = [*inner] if isinstance(inner, dict) else [*range(len(inner))]
    key = keys[int(generator.integers(len(keys)))]
    value = VALUES[int(generator.integers(len(VALUES)))]
    match int(generator.integers(4)):
        case 0:
            del inner[key]
        case 1 if isinstance(inner, dict):
            inner[WORDS[int(generator.integers(len(WORDS)))]] = inner.pop(key)
        case 2:
            other = inner[keys[int(generator.integers(len(keys)))]]
            inner[key] = other
        case _:
            inner[key] = value
    return changed_tree


def mutated(generator, data):
    size = int.from_bytes(data[:8], "little")
    header, body = data[8 : 8 + size], data[8 + size :]
    match int(generator.integers(7)):
        case 0:
            return flipped(generator, data, bits=int(generator.integers(1, 4)))
        case 1:
            return data[: int(generator.integers(len(data)))]
        case 2:
            return data + generator.bytes(int(generator.integers(1, 9)))
        case 3:
            depth = int(generator.integers(1, 100_000))
            header = (b"[", b'{"a":')[depth % 2] * depth
        case 4:
            header = flipped(generator, header)
        case _:
            header = json.dumps(changed(generator, json.loads(header))).encode()
    return len(header).to_bytes(8, "little") + header + body


def test_no_safetensors_breaks_the_promise(tmp_path):
    path = tmp_path / "w.safetensors"
    stated = weight_files.write(path, ARRAYS)
    good = path.read_bytes()

    def judge(data):
        path.write_bytes(data)
        if data != good:
            with pytest.raises(ValueError, match="damaged or a different one"):
                state_dict.read(path, stated)
        try:
            arrays = state_dict.read(path, hashlib.sha256(data).hexdigest())
        except ValueError as error:
            return "refused" if str(path) in str(error) and len(str(error)) < 600 else repr(error)
        size = int.from_bytes(data[:8], "little")
        assert sum(value.nbytes for value in arrays.values()) == len(data) - 8 - size
        with contextlib.suppress(ValueError):
            convert.convert(arrays, MODEL, stem="conv1", head="fc", repeat_channels=True)
        with contextlib.suppress(ValueError):
            export.load(path)
        return "read"

    with nothing_written(tmp_path, path.name):
        outcomes = each(11, count(300), lambda generator: mutated(generator, good), judge)
    assert outcomes.keys() == {"read", "refused"}, outcomes
    assert min(outcomes.values()) > 20, outcomes


@pytest.mark.parametrize("layer", [2, 3, 4, 5])
def test_a_first_layer_of_any_shape_is_compared_not_indexed(layer):
    for size in (0, 1):
        given = {"conv1.weight": np.full((size,) * layer, 1e300)}
        with pytest.raises(ValueError, match="repeat channels for other inputs"):
            convert.convert(given, MODEL, stem="conv1", head="fc", repeat_channels=True)


def test_an_exported_layer_is_no_array_too(tmp_path):
    path = tmp_path / "w.safetensors"
    for names in (("a", "a/b"), ("a/b", "a"), ("a/b/c", "a/b")):
        weight_files.write(path, {name: np.zeros(2) for name in names})
        with pytest.raises(ValueError, match="has the name of a layer"):
            export.load(path)


class Planted:
    """What a pickle would run."""

    def __init__(self, witness):
        self.witness = witness

    def __reduce__(self):
        return self.witness.touch, ()


def archive(data):
    """The zip file in which PyTorch keeps a pickle."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        file.writestr("w/data.pkl", data)
        file.writestr("w/version", "3")
    return made.getvalue()


@pytest.mark.parametrize("ending", ["safetensors", "pth", "pt", "pkl"])
@pytest.mark.parametrize("wrap", [bytes, archive])
def test_a_planted_pickle_is_not_run(tmp_path, wrap, ending):
    witness, path = tmp_path / "executed", tmp_path / f"w.{ending}"
    data = pickle.dumps({"fc.weight": Planted(witness)}, 2)
    pickle.loads(data)
    assert witness.exists(), "the pickle would do nothing if it were run"
    witness.unlink()
    path.write_bytes(wrap(data))
    torch = ending in ("pth", "pt") and importlib.util.find_spec("torch") is None
    with pytest.raises(ModuleNotFoundError if torch else ValueError, match=str(path)):
        state_dict.read(path, hashlib.sha256(path.read_bytes()).hexdigest())
    assert not witness.exists()


def test_no_pth_breaks_the_promise(tmp_path):
    torch = pytest.importorskip("torch")
    path = tmp_path / "w.pth"
    torch.save({name: torch.tensor(value) for name, value in ARRAYS.items()}, path)
    good = path.read_bytes()

    def judge(data):
        path.write_bytes(data)
        try:
            arrays = state_dict.read(path, hashlib.sha256(data).hexdigest())
        except ValueError as error:
            return "refused" if str(path) in str(error) else repr(error)
        assert all(isinstance(value, np.ndarray) for value in arrays.values())
        return "read"

    def broken(generator):
        if generator.integers(2):
            return good[: int(generator.integers(len(good)))]
        return flipped(generator, good, bits=int(generator.integers(1, 4)))

    with nothing_written(tmp_path, path.name):
        outcomes = each(12, count(300), broken, judge)
    assert outcomes.keys() == {"read", "refused"}, outcomes
