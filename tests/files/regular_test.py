import os
import re
import socket

import pytest

from fl_jax.files import links
from fl_jax.files.regular import open_write, read_bytes, read_text, sha256


def special_files(folder):
    """A path of every kind that is no regular file, with the word for it."""
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(folder / "socket"))
    (folder / "folder").mkdir()
    (folder / "link").symlink_to("/dev/zero")
    return [
        *((folder / "pipe", "a named pipe"), (folder / "socket", "a socket")),
        *(
            (folder / "folder", "a folder"),
            (folder / "link", "a device"),
            ("/dev/zero", "a device"),
        ),
    ]


@pytest.mark.parametrize("read", [read_bytes, read_text, sha256])
def test_only_regular_files_are_read(tmp_path, read):
    for path, kind in special_files(tmp_path):
        with pytest.raises(ValueError, match=rf"^{path}: is {kind}; put a regular file there$"):
            read(path)
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none")


@pytest.mark.parametrize("how", ["new", "append"])
def test_only_regular_files_are_written(tmp_path, how):
    for path, _ in special_files(tmp_path):
        with pytest.raises((ValueError, FileExistsError)):
            open_write(path, how)
    (tmp_path / "target").write_text("theirs")
    (tmp_path / "soft").symlink_to(tmp_path / "target")
    (tmp_path / "hard").hardlink_to(tmp_path / "target")
    for name in ("soft", "hard"):
        with pytest.raises((ValueError, FileExistsError)):
            open_write(tmp_path / name, how)
    assert (tmp_path / "target").read_text() == "theirs"


def test_a_size_is_bounded_before_reading(tmp_path):
    path = tmp_path / "a"
    with path.open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(
        ValueError, match=rf"^{path}: has {2**40} bytes or more, at most 9 are read$"
    ):
        read_bytes(path, 9)
    path.write_bytes(b"123456789")
    assert read_bytes(path, 9) == b"123456789"
    assert len(read_bytes("/proc/self/status")) > 9  # its size is said to be 0
    with pytest.raises(ValueError, match="at most 9 are read"):
        read_bytes("/proc/self/status", 9)


def test_text_is_utf8(tmp_path):
    (tmp_path / "a").write_bytes(b"ab\xff")
    words = re.escape(f"{tmp_path}/a: is not UTF-8 text (invalid start byte at byte 2)")
    with pytest.raises(ValueError, match=words):
        read_text(tmp_path / "a")


def test_below_a_marked_folder_no_link_out_is_read_or_written(tmp_path):
    root, outside = tmp_path / "root", tmp_path / "outside"
    for folder in (root / "real", outside):
        folder.mkdir(parents=True)
    (outside / "a").write_text("secret")
    (root / "real" / "b").write_text("b")
    for name, target in (("out", outside), ("in", root / "real"), ("file", outside / "a")):
        (root / name).symlink_to(target)
    assert read_text(root / "out" / "a") == "secret"  # a folder of the user's
    links.marker(root, "workdir").touch()
    assert read_text(root / "in" / "b") == "b"
    for path in (root / "out" / "a", root / "file"):
        with pytest.raises(ValueError, match=f"^{path}: is a link out of {root}, to {outside}/a"):
            read_text(path)
    for path in (root / "out" / "new", root / "in" / "new"):
        with pytest.raises(
            ValueError, match=f"^{path.parent} is a link, through which nothing is written; "
        ):
            open_write(path, "new")
    (tmp_path / "users").symlink_to(root)
    open_write(tmp_path / "users" / "real" / "new", "new").close()
    assert (root / "real" / "new").exists()
