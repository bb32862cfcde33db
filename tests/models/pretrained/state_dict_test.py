import hashlib
import json
import sys
import zipfile
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest
import weight_files

from fl_jax.models.pretrained import state_dict
from fl_jax.models.pretrained.state_dict import read


def write(path, header, body=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text + body)
    return path


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def entry(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def test_arrays_of_every_kind(tmp_path):
    arrays = {
        "a.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
        "b": np.array([1.5, -2], np.float16),
        "c": np.asarray(jnp.array([1.5, -3], jnp.bfloat16)),
        "count": np.array(7),
        "none": np.zeros((0, 3)),
    }
    path = tmp_path / "w.safetensors"
    values = read(path, weight_files.write(path, arrays)[:8].upper())
    assert values.keys() == arrays.keys()
    for name, value in arrays.items():
        assert values[name].dtype == value.dtype
        np.testing.assert_array_equal(values[name], value)


def test_the_digest_may_be_in_the_name(tmp_path):
    path = write(tmp_path / "w.safetensors", {})
    path = path.rename(tmp_path / f"resnet18-{digest(path)[:8]}.safetensors")
    assert read(path) == {}
    with pytest.raises(ValueError, match="expected 00000000"):
        read(path, "00000000")


def test_without_a_digest_the_file_is_not_read(tmp_path):
    path = write(tmp_path / "w.safetensors", {})
    for given in ("", "abc", "none of it"):
        with pytest.raises(
            ValueError, match=f"digest='{given}'.*needs at least 8 digits.*{digest(path)}"
        ):
            read(path, given)


def test_one_flipped_bit(tmp_path):
    path = write(tmp_path / "w.safetensors", {"a": entry("U8", [1], 0, 1)}, b"\x00")
    wanted = digest(path)
    write(path, {"a": entry("U8", [1], 0, 1)}, b"\x01")
    with pytest.raises(ValueError, match="damaged or a different one"):
        read(path, wanted)


@pytest.mark.parametrize(
    ("header", "length"),
    [
        ({"a": entry("F32", [2], 0, 4)}, None),  # too few bytes for its shape
        ({"a": entry("F32", [2], 4, 12)}, None),  # beyond the end
        ({"a": entry("F32", [2], -8, 0)}, None),
        ({"a": entry("F32", [-2], 0, 8)}, None),
        ({"a": entry("F8", [8], 0, 8)}, None),
        ({"a": {"dtype": "F32", "shape": [2]}}, None),
        ({"a": 3}, None),
        (b"[1]", None),
        (b"{", None),
        (b"\xff\xfe", None),
        ({}, 10**6),
        ({}, 2**63),
    ],
)
def test_a_file_that_is_no_safetensors(header, length, tmp_path):
    path = write(tmp_path / "w.safetensors", header, bytes(8), length)
    with pytest.raises(ValueError, match="not a safetensors file"):
        read(path, digest(path))


def test_an_empty_file(tmp_path):
    path = tmp_path / "w.safetensors"
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="not a safetensors file"):
        read(path, digest(path))


def test_other_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        read(tmp_path / "w.safetensors")
    path = tmp_path / "w.pkl"
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="must be a"):
        read(path)


def test_without_pytorch_a_pth_says_what_to_do(tmp_path, monkeypatch):
    path = tmp_path / "w.pth"
    path.write_bytes(b"anything")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install torch, or use a \.safetensors"):
        read(path, digest(path))


def test_a_compressed_pth_is_refused_before_pytorch_reads_it(tmp_path, monkeypatch):
    path, reads = tmp_path / "w.pth", []
    torch = SimpleNamespace(load=lambda *_, **__: reads.append(1) or {}, is_tensor=None)
    monkeypatch.setitem(sys.modules, "torch", torch)
    for method in (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED):
        with zipfile.ZipFile(path, "w", method) as archive:
            archive.writestr("w/data/0", bytes(2**20))
        if method == zipfile.ZIP_STORED:
            assert read(path, digest(path)) == {}
        else:
            with pytest.raises(ValueError, match="contains more than tensors, or is damaged"):
                read(path, digest(path))
    assert len(reads) == 1


def test_too_large_a_file_is_not_read(tmp_path, monkeypatch):
    path = write(tmp_path / "w.safetensors", {})
    monkeypatch.setattr(state_dict, "LARGEST", 9)
    with pytest.raises(ValueError, match="has 10 bytes or more, at most 9 are read"):
        read(path, digest(path))


def test_arrays_are_views_of_the_file(tmp_path):
    """Whatever they declare, they take no more memory than the file."""
    path = write(tmp_path / "w.safetensors", {"a": entry("F64", [2], 0, 16)}, bytes(16))
    assert not read(path, digest(path))["a"].flags.owndata
