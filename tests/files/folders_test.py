import os
import re

import pytest
from fuzzing import listing

from fl_jax.files import folders


def claim(folder, kind="dataset"):
    folders.claim(folder, kind, flag="--data_dir")


def test_a_folder_of_the_users_is_left_alone(tmp_path):
    (tmp_path / "slices").mkdir()
    (tmp_path / "slices" / "a").write_text("theirs")
    words = (
        rf"{tmp_path} has files, but no marker .* as --data_dir, or, .*touch '{tmp_path}/\.fl_jax-"
    )
    with pytest.raises(ValueError, match=words):
        claim(tmp_path)
    with pytest.raises(ValueError, match=f"{tmp_path}/slices is not deleted: it carries no marker"):
        folders.remove(tmp_path / "slices", "dataset")
    assert {*listing(tmp_path)} == {"slices", "slices/a"}


def test_a_new_or_an_empty_folder_is_claimed_once(tmp_path):
    for folder in (tmp_path, tmp_path / "a" / "b"):
        claim(folder)
        (folder / "slices").mkdir()
        claim(folder)
        with pytest.raises(ValueError, match="as a cohort"):
            claim(folder, "cohort")
        folders.remove(folder / "slices", "dataset")
        assert not (folder / "slices").exists()


def test_a_folder_of_marked_folders_is_claimed_too(tmp_path):
    claim(tmp_path / "a" / "data")
    claim(tmp_path / "a", "workdir")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "data").symlink_to(tmp_path / "a" / "data")
    with pytest.raises(ValueError, match="no marker"):
        claim(tmp_path / "b", "workdir")


@pytest.mark.parametrize(
    "name", ["lost+found", ".DS_Store", "._a", "Thumbs.db", ".nfs00000001", "@eaDir"]
)
def test_what_a_system_makes_by_itself_does_not_fill_a_folder(tmp_path, name):
    (tmp_path / name).touch()
    claim(tmp_path)
    folders.make(tmp_path / "slices")
    (tmp_path / "slices" / name).touch()
    folders.check_ours(tmp_path, ["slices"], re.compile("slices/index.csv"))
    assert not any(map(folders.is_system, ("slices", ".hidden", "lost", "my Thumbs.db", ".nfs")))


def test_a_link_to_nowhere_is_named(tmp_path):
    (tmp_path / "data").symlink_to(tmp_path / "disk" / "data")
    with pytest.raises(OSError, match="a link to nowhere; fix this, or use another --data_dir"):
        claim(tmp_path / "data")


def test_another_process_may_claim_at_the_same_time(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "listdir", lambda path: [])
    claim(tmp_path)
    claim(tmp_path)  # the listing is older than the marker
    assert (tmp_path / ".fl_jax-dataset").is_file()


@pytest.mark.parametrize("kind", ["link", "folder"])
def test_a_marker_is_a_file(tmp_path, kind):
    (tmp_path / "mine").touch()
    marker = tmp_path / ".fl_jax-dataset"
    marker.symlink_to("mine") if kind == "link" else marker.mkdir()
    with pytest.raises(ValueError, match="no marker"):
        claim(tmp_path)
    with pytest.raises(ValueError, match="no marker"):
        folders.remove(tmp_path, "dataset")


def test_a_link_is_not_followed(tmp_path):
    root, outside = tmp_path / "root", tmp_path / "outside"
    claim(root)
    outside.mkdir()
    (outside / "a").write_text("theirs")
    (root / "slices").symlink_to(outside)
    (root / "real").mkdir()
    (root / "real" / "link").symlink_to(outside)
    for change in (
        lambda: folders.remove(root / "slices", "dataset"),
        lambda: folders.remove(root / "slices" / "x", "dataset"),
        lambda: folders.make(root / "slices" / "new"),
        lambda: claim(root / "slices"),
        lambda: folders.check_tree(root),
    ):
        with pytest.raises(ValueError, match=r"is a link|is not deleted"):
            change()
    folders.remove(root / "real", "dataset")
    folders.check_tree(root / "none")
    (root / "slices").unlink()
    folders.check_tree(root)
    (tmp_path / "users").symlink_to(root)
    claim(tmp_path / "users")
    folders.remove(root, "dataset")
    assert not root.exists()
    assert (outside / "a").read_text() == "theirs"


def test_an_interrupted_deletion_can_be_repeated(tmp_path, monkeypatch):
    claim(tmp_path / "a")
    (tmp_path / "a" / "b").touch()

    def fail(path):
        raise OSError("no")

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", fail)
        with pytest.raises(OSError, match="no"):
            folders.remove(tmp_path / "a", "dataset")
    folders.remove(tmp_path / "a", "dataset")
    folders.remove(tmp_path / "a", "dataset")
    assert not (tmp_path / "a").exists()


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "a").touch()
    with pytest.raises(
        OSError, match=f"{tmp_path}/a cannot be written: part of the path is a file"
    ):
        claim(tmp_path / "a")
