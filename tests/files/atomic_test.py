import os
import re

import pytest
from fuzzing import no_file_above

from fl_jax.files.atomic import atomic_open, named


def test_the_file_is_what_it_was_until_all_is_written(tmp_path):
    path = tmp_path / "a.csv"
    for text in ("one\r\n", "two\n"):
        with atomic_open(path) as file:
            file.write(text)
            assert not path.exists() or path.read_bytes() == b"one\r\n"
        assert path.read_bytes() == text.encode()
    with pytest.raises(TypeError), atomic_open(path, "wb") as file:
        file.writelines([b"three", None])
    with pytest.raises(OSError, match=re.escape(f"'{path}'")), no_file_above(9):  # noqa: SIM117
        with atomic_open(path) as file:
            file.write("no room for this")
    assert path.read_bytes() == b"two\n"
    assert [*tmp_path.iterdir()] == [path]


def test_no_link_is_followed(tmp_path):
    (tmp_path / "theirs").write_text("theirs")
    for name in ("a", "a.partial", "b.partial"):
        (tmp_path / name).symlink_to("theirs")
    (tmp_path / "c.partial").hardlink_to(tmp_path / "theirs")
    for name in ("a", "b", "c"):
        with atomic_open(tmp_path / name) as file:
            file.write(name)
        assert (tmp_path / name).read_text() == name
    assert (tmp_path / "theirs").read_text() == "theirs"


def test_the_bytes_are_on_the_disk_before_the_name_and_the_name_after(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(os, "fsync", lambda number: seen.append(os.fstat(number).st_ino))
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: (seen.append("name"), replace(a, b)))
    with atomic_open(tmp_path / "a") as file:
        file.write("x")
    assert seen == [(tmp_path / "a").stat().st_ino, "name", tmp_path.stat().st_ino]


def test_the_text_of_an_error_is_not_replaced_by_the_name_of_its_file(tmp_path):
    with pytest.raises(OSError, match=r"^the disk is full$"), named(tmp_path):
        raise OSError("the disk is full")
    with pytest.raises(OSError, match=f"No space.*: '{re.escape(str(tmp_path))}'"), named(tmp_path):
        raise OSError(28, "No space left")
