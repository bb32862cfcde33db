import io
import os
import zipfile
import zlib

import numpy as np
import pytest

from fl_jax.files.npz import read_npz


def header(shape, dtype="<f4"):
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": dtype, "fortran_order": False, "shape": shape}
    )
    return file.getvalue()


def archive(path, *contents, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as file:
        for number, content in enumerate(contents):
            file.writestr(f"{number}.npy", content)
    return path


def test_what_numpy_writes_is_read(tmp_path):
    arrays = {
        "x": np.arange(6.0).reshape(2, 3),
        "turned": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "one": np.array(True),
        "none": np.zeros((0, 3), np.uint8),
        "names": np.array(["a", "längst"]),
    }
    for write in (np.savez, np.savez_compressed):
        write(tmp_path / "a.npz", **arrays)
        read = read_npz(tmp_path / "a.npz")
        assert read.keys() == arrays.keys()
        for name, array in arrays.items():
            assert read[name].dtype == array.dtype
            np.testing.assert_array_equal(read[name], array)
            assert read[name].flags.writeable


def test_a_zip_bomb_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    path = archive(tmp_path / "a.npz", header((2**20,)) + bytes(2**22))
    assert path.stat().st_size < 2**14
    monkeypatch.setattr(zlib, "decompressobj", lambda *_: pytest.fail("decoded"))
    with pytest.raises(ValueError, match="take 4194432 bytes, at most 1048576 are read"):
        read_npz(path, 2**20)


@pytest.mark.parametrize(
    "content",
    [
        header((2**40,)),
        header((2,)) + bytes(9),
        header((2**62, 2**62)) + bytes(8),
        header((-1, -2)) + bytes(8),
        header((1,), "|O") + bytes(8),
        header((1000,), "|V0"),
        header((2**30,), "|S0"),
        header((1,), "<M8[s]") [:40],
        b"\x93NUMPY\x09\x00" + bytes(99),
        b"",
        np.lib.format.MAGIC_PREFIX + b"\x01\x00\xff\xff" + b"[" * 65535,
    ],
)  # fmt: skip
def test_an_array_that_is_not_what_it_declares(tmp_path, content):
    path = archive(tmp_path / "a.npz", content)
    with pytest.raises(ValueError, match=r"a\.npz: is no readable \.npz of numeric arrays"):
        read_npz(path)


def test_a_size_that_lies_a_flipped_bit_and_other_files(tmp_path):
    path = archive(tmp_path / "a.npz", header((4,)) + bytes(16), method=zipfile.ZIP_STORED)
    good = path.read_bytes()
    at = good.rindex((16 + 128).to_bytes(4, "little"))
    lying = good[:at] + (8 + 128).to_bytes(4, "little") + good[at + 4 :]
    flipped = bytearray(good)
    flipped[len(header((4,))) + 45] ^= 1
    for content in (lying, bytes(flipped), good[:-9], b"", b"PK"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"a\.npz: is no readable"):
            read_npz(path)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        read_npz(path)
    os.mkfifo(path)
    with pytest.raises(ValueError, match="is a named pipe"):
        read_npz(path)
