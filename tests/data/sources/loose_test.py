"""Every file below a folder is listed, without labels."""

import pathlib

import pytest

from fl_jax.data import sources


def test_every_file_of_a_tree_is_listed_without_labels(tmp_path):
    for name in ("b/2/x.dcm", "b/2/x", "a.DCM", "b/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "gone.dcm").symlink_to(tmp_path / "nowhere")
    listing = sources.list_source(tmp_path, layout="loose")
    assert [item.image for item in listing.items] == ["a.DCM", "b/2/x", "b/2/x.dcm", "b/notes.txt"]
    assert {(item.site, item.labels) for item in listing.items} == {("loose", None)}
    assert pathlib.Path(listing.items[1].path) == tmp_path / "b" / "2" / "x"
    (tmp_path / "b" / "2" / "x").write_bytes(b"xy")
    assert sources.list_source(tmp_path, layout="loose").digest != listing.digest


def test_links_to_folders_lead_out_or_are_not_followed(tmp_path):
    (tmp_path / "source" / "a").mkdir(parents=True)
    (tmp_path / "source" / "a" / "1").write_bytes(b"x")
    (tmp_path / "source" / "latest").symlink_to("a")
    (tmp_path / "source" / "a" / "loop").symlink_to("../a")
    listing = sources.list_source(tmp_path / "source", layout="loose")
    assert [item.image for item in listing.items] == ["a/1"]
    for target in (tmp_path, tmp_path / "disk_that_is_not_mounted"):
        (tmp_path / "source" / "b").symlink_to(target)
        with pytest.raises(ValueError, match=r"source/b: is a link out of .*mount --bind"):
            sources.list_source(tmp_path / "source", layout="loose")
        (tmp_path / "source" / "b").unlink()


def test_folders_of_the_system_are_left_out(tmp_path):
    for folder in ("a", "lost+found", ".Trash-1000", "$RECYCLE.BIN"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "1").write_bytes(b"x")
    listing = sources.list_source(tmp_path, layout="loose")
    assert [item.image for item in listing.items] == ["a/1"]


def test_an_empty_tree(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(ValueError, match="it has no file; see layout 'loose'"):
        sources.list_source(tmp_path, layout="loose")
