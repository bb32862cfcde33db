"""The odd cases of the study's layout: each an error that says where, or a counted repair."""

import pathlib

import make_site
import numpy as np
import pytest

from fl_jax.core.types import LABELS
from fl_jax.data import sources

ROWS = [["a", 1, 0, 1, 0, 0, 0, "x"], ["b", 0, 0, 0, 0, 0, 0, ""]]


def site(root: pathlib.Path, name: str, rows, files=("a", "b")) -> pathlib.Path:
    folder = root / name / "input"
    (folder / "data").mkdir(parents=True)
    for file in files:
        (folder / "data" / (file if "." in file else f"{file}.dcm")).write_bytes(b"x")
    make_site.write_labels(folder / "labels.csv", rows)
    return folder / "labels.csv"


def test_plain_listing(tmp_path):
    site(tmp_path, "s2", [["d", 0, 0, 0, 0, 0, 0, ""]], ["d"])
    site(tmp_path, "s1", ROWS)
    (tmp_path / "notes.txt").write_text("not a site")
    listing = sources.list_source(tmp_path)
    assert [(i.site, i.image) for i in listing.items] == [("s1", "a"), ("s1", "b"), ("s2", "d")]
    assert listing.items[0].labels == (1, 0, 1, 0, 0, 0)
    assert pathlib.Path(listing.items[0].path) == tmp_path / "s1" / "input" / "data" / "a.dcm"
    assert all(not any(counts.values()) for counts in listing.counts.values())


def test_left_out_and_repaired_are_counted(tmp_path):
    rows = [*ROWS, ROWS[0], ["c", 0, 0, 0, 0, 0, 1, ""], ["only label", 0, 0, 0, 0, 0, 0, ""]]
    site(tmp_path, "s", rows, ["a", "b", "c", "only image", "README.txt"])
    listing = sources.list_source(tmp_path)
    assert [item.image for item in listing.items] == ["a", "b", "c"]
    assert listing.items[2].labels == (1, 0, 0, 0, 0, 1)  # subdural, so any
    assert listing.counts["s"] == {
        "duplicate_labels": 1,
        "any_repaired": 1,
        "labels_without_image": 1,
        "images_without_label": 2,
    }


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_windows_text_is_accepted(tmp_path, ends, mark):
    path = site(tmp_path, "s", ROWS)
    lines = [" Image , any ," + ",".join(LABELS[1:]), "", "a.dcm,1, 0,1,0,0,0", '"b",0,0,0,0,0,0']
    path.write_bytes((mark + ends.join(lines) + ends).encode())
    labels, counts = sources.read_labels(path)
    assert labels == {"a": (1, 0, 1, 0, 0, 0), "b": (0, 0, 0, 0, 0, 0)}
    assert not any(counts.values())


def test_columns_in_any_order(tmp_path):
    path = site(tmp_path, "s", ROWS)
    header = ["extra", *reversed(LABELS), "Image"]
    make_site.write_labels(path, [["?", 1, 0, 0, 0, 0, 1, "a"]], header)
    assert sources.read_labels(path)[0] == {"a": (1, 0, 0, 0, 0, 1)}


@pytest.mark.parametrize("value", ["2", "-1", "", "yes", "0.5", "nan", "1.0"])
def test_labels_outside_0_and_1(tmp_path, value):
    site(tmp_path, "s", [ROWS[0], ["b", 0, 0, 0, value, 0, 0, ""]])
    with pytest.raises(ValueError, match=r"labels.csv, line 3: intraventricular is .*give 0 or 1"):
        sources.list_source(tmp_path)


@pytest.mark.parametrize("column", ["Image", *LABELS])
def test_missing_column(tmp_path, column):
    header = [name for name in make_site.HEADER if name != column]
    path = site(tmp_path, "s", [])
    make_site.write_labels(path, [], header)
    with pytest.raises(ValueError, match=f"labels.csv, line 1: column '{column}' occurs 0 times"):
        sources.list_source(tmp_path)


def test_column_named_twice(tmp_path):
    path = site(tmp_path, "s", [])
    make_site.write_labels(path, [], [*make_site.HEADER, "any"])
    with pytest.raises(ValueError, match="column 'any' occurs 2 times"):
        sources.list_source(tmp_path)


@pytest.mark.parametrize("row", [["b", 0, 0], ["b", *[0] * 6, "x", "y"]])
def test_short_and_long_lines(tmp_path, row):
    site(tmp_path, "s", [ROWS[0], row])
    with pytest.raises(ValueError, match=r"line 3: .* values under 8 columns"):
        sources.list_source(tmp_path)


def test_conflicting_duplicate(tmp_path):
    site(tmp_path, "s", [*ROWS, ["b", 1, 1, 0, 0, 0, 0, ""]])
    with pytest.raises(ValueError, match=r"line 4: image 'b' is .* decide which is right"):
        sources.list_source(tmp_path)


@pytest.mark.parametrize(
    "name", ["../a", "/etc/passwd", "..", ".", "", "x/y", "x\\y", "C:\\x", "a\0b", " "]
)
def test_image_names_with_paths(tmp_path, name):
    site(tmp_path, "s", [ROWS[0], [name, 0, 0, 0, 0, 0, 0, "z"]])
    with pytest.raises(ValueError, match=r"line 3: image is .*without a path"):
        sources.list_source(tmp_path)


def test_image_at_two_sites(tmp_path):
    site(tmp_path, "s1", ROWS)
    site(tmp_path, "s2", ROWS[:1])
    with pytest.raises(ValueError, match=r"image 'a' is at site 's1' and at site 's2'"):
        sources.list_source(tmp_path)


def test_two_files_of_one_image(tmp_path):
    site(tmp_path, "s", ROWS, ["a.dcm", "a.DCM", "b"])
    with pytest.raises(ValueError, match=r"both image 'a'; keep one"):
        sources.list_source(tmp_path)


def test_missing_parts_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="is not a folder"):
        sources.list_source(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="no <site>/input folder"):
        sources.list_source(tmp_path)
    with pytest.raises(ValueError, match="layout is 'rsnaa'"):
        sources.list_source(tmp_path, layout="rsnaa")
    (tmp_path / "s" / "input").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"labels.csv is missing"):
        sources.list_source(tmp_path)
    make_site.write_labels(tmp_path / "s" / "input" / "labels.csv", ROWS)
    with pytest.raises(ValueError, match=r"data is missing"):
        sources.list_source(tmp_path)
    (tmp_path / "s" / "input" / "data").mkdir()
    with pytest.raises(ValueError, match="no image has both a label and a file"):
        sources.list_source(tmp_path)


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xff\xfe\x00", b'Image,any\n"a'])
def test_files_that_are_no_table(tmp_path, content):
    path = site(tmp_path, "s", ROWS)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"labels.csv"):
        sources.list_source(tmp_path)


def test_a_site_name_that_is_no_name(tmp_path):
    site(tmp_path, "a site", ROWS)
    with pytest.raises(ValueError, match="site folder 'a site'"):
        sources.list_source(tmp_path)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Holdout", "rename it to 'holdout' to hold it out"),
        ("hold-out", "rename it to 'holdout' to hold it out"),
        ("HOLD_OUT", "rename it to 'holdout' to hold it out"),
        ("all_sites", "the report uses this name"),
    ],
)
def test_a_site_that_would_be_mistaken_for_another_thing(tmp_path, name, words):
    site(tmp_path, name, ROWS)
    with pytest.raises(ValueError, match=f"site folder '{name}'.*{words}"):
        sources.list_source(tmp_path)
    (tmp_path / name).rename(tmp_path / "holdout")
    assert {item.site for item in sources.list_source(tmp_path).items} == {"holdout"}


def test_digest_notices_labels_and_files(tmp_path):
    path = site(tmp_path, "s", ROWS)
    first = sources.list_source(tmp_path).digest
    assert sources.list_source(tmp_path).digest == first
    make_site.write_labels(path, [ROWS[0], ["b", 1, 1, 0, 0, 0, 0, ""]])
    second = sources.list_source(tmp_path).digest
    (tmp_path / "s" / "input" / "data" / "a.dcm").write_bytes(b"xy")
    assert len({first, second, sources.list_source(tmp_path).digest}) == 3


def test_labels_are_what_was_written(tmp_path):
    root = make_site.write_cohort(tmp_path, {"s": 3})
    labels = np.array([item.labels for item in sources.list_source(root).items])
    assert labels.shape == (9, len(LABELS))
    assert (labels[:, 0] == labels[:, 1:].any(1)).all()


@pytest.mark.parametrize("name", ["CON", "nul", "aux.x", "Lpt1", "a."])
def test_a_site_name_that_windows_does_not_have(tmp_path, name):
    site(tmp_path, name, [["a", *[0] * 6, ""]])
    with pytest.raises(ValueError, match="no folder can have this name on Windows"):
        sources.list_source(tmp_path)


def test_sites_that_differ_in_case_only(tmp_path):
    site(tmp_path, "north", [["a", *[0] * 6, ""]])
    site(tmp_path, "North", [["c", *[0] * 6, ""]], files=("c",))
    with pytest.raises(
        ValueError, match=r"'north' and site folder 'North' differ at most in upper"
    ):
        sources.list_source(tmp_path)


@pytest.mark.parametrize("part", ["", "input", "input/data", "input/labels.csv"])
def test_a_link_out_of_the_source(tmp_path, part):
    elsewhere = tmp_path / "elsewhere"
    site(elsewhere, "a", [["a", *[0] * 6, ""]])
    site(tmp_path / "source", "b", [["b", *[0] * 6, ""]])
    source = tmp_path / "source"
    if part:
        site(source, "a", [["a", *[0] * 6, ""]])
        path = source / "a" / part
        path.rename(tmp_path / "old")
    (source / "a" / part).symlink_to(elsewhere / "a" / part)
    with pytest.raises(ValueError, match=f"source/a.*: is a link out of {source}"):
        sources.list_source(source)


def test_a_site_on_a_disk_that_is_not_mounted_is_not_left_out(tmp_path):
    source = tmp_path / "source"
    site(source, "b", [["b", *[0] * 6, ""]])
    (tmp_path / "notes.txt").touch()
    (source / "notes.txt").symlink_to(tmp_path / "notes.txt")
    assert len(sources.list_source(source).items) == 1
    (source / "a").symlink_to(tmp_path / "disk" / "a")
    with pytest.raises(ValueError, match=f"source/a: is a link out of {source}.*mount --bind"):
        sources.list_source(source)


@pytest.mark.parametrize("separator", [";", "\t"])
def test_a_table_with_another_separator(tmp_path, separator):
    path = site(tmp_path, "a", [["a", *[0] * 6, ""]])
    path.write_text(path.read_text().replace(",", separator))
    with pytest.raises(ValueError, match="separate them by commas"):
        sources.list_source(tmp_path)
