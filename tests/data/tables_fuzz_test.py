"""Label tables, partitions and a dataset's tables with faults of every kind: read whole or refused by name.

`FL_JAX_FUZZ=20000` for more than the default run's share.
"""

import csv
import io
import os
import re

import numpy as np
import pytest
from fuzzing import WORDS, count, each, nothing_written, table

from fl_jax.core.types import LABELS
from fl_jax.data import duplicates, index, partition, sources
from fl_jax.data.dicom import Reason
from fl_jax.data.index import COLUMNS, HEAD
from fl_jax.data.sources.rsna import read_long
from fl_jax.evaluation import slice_properties
from fl_jax.files.text import is_name
from fl_jax.report.unlabelled_scans import refusals

HEADER = f"Image,{','.join(LABELS)},all_diagnoses"
LINES = [
    f"ID_{n:02d},{int(n % 3 > 0)},0,{int(n % 3 == 1)},0,{int(n % 3 == 2)},0,x" for n in range(8)
]
WIDE = "\n".join([HEADER, *LINES]) + "\n"
LONG = "ID,Label\n" + "".join(
    f"ID_{n}_{label},{int(n == 1 and label in ('any', 'subdural'))}\n"
    for n in range(3)
    for label in LABELS
)
SIDES = "patient,site,split\n" + "".join(
    f"P{n},{'abc'[n % 3]},{('train', 'validation', 'test')[n // 3 % 3]}\n" for n in range(12)
)
SIDES += "P90,holdout,holdout\n"


def sound_labels(labels):
    for image, values in labels.items():
        assert image
        assert not re.search(r"[/\\\0]", image)
        assert image.isprintable()
        assert len(image) <= 200
        assert len(values) == len(LABELS)
        assert set(values) <= {0, 1}
        assert values[0] >= max(values[1:])


def fuzz(tmp_path, seed, text, read, sound, inputs=600):
    path = tmp_path / "table.csv"

    def judge(data):
        path.write_bytes(data)
        try:
            table = read(path)
        except ValueError as error:
            return "refused" if str(path) in str(error) else f"unnamed: {error}"
        sound(table)
        return "read"

    with nothing_written(tmp_path, "table.csv"):
        outcomes = each(seed, count(inputs), lambda generator: table(generator, text), judge)
    assert outcomes.keys() == {"read", "refused"}, outcomes
    assert min(outcomes.values()) > 20, outcomes


def test_site_labels(tmp_path):
    fuzz(tmp_path, 2, WIDE, lambda path: sources.read_labels(path)[0], sound_labels)


def test_the_challenges_labels(tmp_path):
    def sound(bits_of):
        for image, bits in bits_of.items():
            assert image.isprintable()
            assert not re.search(r"[/\\\0]", image)
            assert bits >> len(LABELS) == 2 ** len(LABELS) - 1

    fuzz(tmp_path, 3, LONG, lambda path: read_long(path)[0], sound)


def test_partition_files(tmp_path):
    def sound(read):
        assert len(set(read.patient.tolist())) == len(read.patient)
        assert set(read.split.tolist()) <= set(partition.SPLITS)
        for site in set(read.site.tolist()):
            assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", site)
            assert (tmp_path / f"local_{site}").resolve().parent == tmp_path.resolve()

    fuzz(tmp_path, 4, SIDES, partition.load, sound)


def row(number, **other):
    """A line of a dataset's index."""
    cells = {"image": f"ID_{number:02d}", "patient": f"p{number // 3}", "study": "study1"}
    cells |= {"series": "series1", "site": "ab"[number // 3 % 2], "position": f"{number * 2.5 - 7}"}
    cells |= dict.fromkeys(("thickness", "spacing_row"), ("nan", "5.0")[number % 2])
    cells |= {"instance": "-1", "rows": "512", "columns": "512", "spacing_column": "0.48"}
    cells |= {"centre_row": "0.0", "centre_column": "-3.5"}
    cells |= dict(zip(HEAD, ("120.5", "31.0", "-1.5", "nan", "0.0"), strict=True))
    cells |= {"tilt": "nan", "bits_stored": "12", "signed": "0", "slope": "1.0"}
    cells |= {"intercept": "-1024.0", "kernel": "H31s", "manufacturer": "A, B", "repairs": "SIGN"}
    cells |= {"transfer_syntax": "1.2", **dict.fromkeys(LABELS, "0"), "any": str(number % 2)}
    return cells | other


def index_text(*rows):
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


INDEX = index_text(*map(row, range(9)))


def sound_index(columns):
    numbers = {name: np.array(columns[name], float) for name in ("position", "slope", "intercept")}
    assert all(np.isfinite(column).all() for column in numbers.values())
    for name in ("thickness", "spacing_row", "spacing_column"):
        lengths = np.array(columns[name], float)
        assert (np.isnan(lengths) | ((lengths > 0) & np.isfinite(lengths))).all()
    assert len({*columns["image"]}) == len(columns["image"])
    assert all(is_name(image) for image in columns["image"])
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", site) for site in columns["site"])
    assert all({*columns[label]} <= {"0", "1", ""} for label in LABELS)
    assert {*columns["signed"]} <= {"0", "1"}
    assert {len(column) for column in columns.values()} == {len(columns["image"])}


def test_an_index(tmp_path):
    fuzz(tmp_path, 17, INDEX, index.read_index, sound_index, 300)


def test_pictures_that_are_shared(tmp_path):
    lines = [f"{n // 2:032x},ID_{n},p{n},{'ab'[n % 2]}\n" for n in range(8)]

    def sound(copies):
        for copy in copies:
            assert re.fullmatch("[0-9a-f]{32}", copy.pixels)
            assert sum(other.pixels == copy.pixels for other in copies) > 1

    text = "pixels,image,patient,site\n" + "".join(lines)
    fuzz(tmp_path, 18, text, duplicates.read, sound, 300)


def test_files_that_were_refused(tmp_path):
    lines = [f"a,/s/{n},{('truncated', 'not CT')[n % 2]},because\n" for n in range(8)]

    def sound(reasons):
        assert {row.reason for row in reasons} <= {*Reason}
        for row in reasons:
            assert row.number == len(row.files)
            assert all((name + detail).isprintable() for name, detail in row.files)

    text = "site,path,reason,detail\n" + "".join(lines)
    fuzz(tmp_path, 19, text, refusals, sound, 300)


def test_what_was_drawn(tmp_path):
    images = [f"ID_{n}" for n in range(8)]
    names = [f"area_{label}" for label in LABELS[1:]]
    lines = [f"{image},a,{n}.5,0.0,90,0,0.0\n" for n, image in enumerate(images)]
    (tmp_path / "index.csv").write_text(index_text(*(row(n, image=f"ID_{n}") for n in range(8))))

    def read(path):
        return slice_properties.load(tmp_path / "index.csv", [path], images=images)[
            slice_properties.SIZE
        ]

    def sound(sizes):
        assert sizes.keys() in ({*images}, set())
        assert {*sizes.values()} <= {"< 100 mm²", "100 to < 500 mm²", "≥ 500 mm²"}

    text = ",".join(["Image", "site", *names]) + "\n" + "".join(lines)
    fuzz(tmp_path, 20, text, read, sound, 300)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        *(
            (name, value)
            for name in ("position", "slope")
            for value in ("nan", "inf", "1e39", "0_1", "x")
        ),
        *(("thickness", value) for value in ("inf", "0", "-1", "", "1e999")),
        *(("bits_stored", value) for value in ("0", "17", "1.0", "-1")),
        *(("subdural", "2"), ("any", "-1"), ("signed", "2"), ("tilt", "91"), ("repairs", "all")),
        *(
            ("patient", ""),
            ("patient", "a\0b"),
            ("site", "../x"),
            ("site", "/etc"),
            ("image", "ID_1"),
        ),
        *(("image", value) for value in ("../x", "/etc/passwd", "a/../../b", "..\\x", "a\0b", "")),
    ],
)
def test_a_cell_that_no_build_writes_is_named(tmp_path, column, value):
    path = tmp_path / "index.csv"
    path.write_text(index_text(row(1, image="ID_1"), row(2, **{column: value})))
    said = rf"index\.csv, line 3: {column} is {re.escape(repr(value))}: .*build the dataset anew"
    with pytest.raises(ValueError, match=said):
        index.read_index(path)


TRICKS = [
    *("../x", "../../../../etc/passwd", "/etc/passwd", "a/b", "..\\x", "C:\\x", "..", "."),
    *("a\0b", "a\x1b[2Jb", "a\u202eb", "a" * 201, "a" * 5000),
]


@pytest.mark.parametrize("image", TRICKS, ids=lambda image: ascii(image)[:20])
def test_an_images_name_is_no_path(tmp_path, image):
    path = tmp_path / "labels.csv"
    path.write_text(f"{HEADER}\n{image},0,0,0,0,0,0,x\n")
    with pytest.raises(ValueError, match=re.escape(str(path))) as raised:
        sources.read_labels(path)
    assert str(raised.value).isprintable()
    path.write_text("ID,Label\n" + "".join(f"{image}_{label},0\n" for label in LABELS))
    with pytest.raises(ValueError, match=re.escape(str(path))):
        read_long(path)


@pytest.mark.parametrize("site", [*TRICKS, "-x", ".x", "a b"], ids=lambda site: ascii(site)[:20])
def test_a_partitions_site_is_a_folders_name(tmp_path, site):
    path = tmp_path / "partition.csv"
    path.write_text(f"patient,site,split\nP1,{site},train\n")
    with pytest.raises(ValueError, match=re.escape(str(path))):
        partition.load(path)


def site_folder(root, name="a"):
    data = root / name / "input" / "data"
    data.mkdir(parents=True)
    (data / "good.dcm").write_bytes(b"x")
    (data.parent / "labels.csv").write_text(f"{HEADER}\ngood,0,0,0,0,0,0,x\nlink,0,0,0,0,0,0,x\n")
    return data


def test_a_link_out_of_the_source_is_refused(tmp_path):
    secret = tmp_path / "secret.dcm"
    secret.write_bytes(b"x")
    source = tmp_path / "source"
    data = site_folder(source)
    (data / "link.dcm").symlink_to(data / "good.dcm")
    assert [item.image for item in sources.list_source(source).items] == ["good", "link"]
    (data / "link.dcm").unlink()
    (data / "link.dcm").symlink_to("../../../../secret.dcm")
    for layout in ("sites", "loose"):
        with pytest.raises(ValueError, match=r"link\.dcm: is a link out of"):
            sources.list_source(source, layout=layout)
    (data / "link.dcm").unlink()
    (data / "link.dcm").symlink_to("nowhere")  # leads nowhere: no file, and so left out
    assert [item.image for item in sources.list_source(source).items] == ["good"]


@pytest.mark.parametrize("place", ["input/labels.csv", "input/data", "input"])
@pytest.mark.parametrize("kind", ["link", "pipe", "device"])
def test_labels_and_folders_are_no_links_pipes_or_devices(tmp_path, place, kind):
    source, secret = tmp_path / "source", tmp_path / "secret"
    site_folder(source)
    path = source / "a" / place
    path.rename(secret)
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero" if kind == "device" else secret)
    with pytest.raises(
        ValueError, match=r"source.*(is a link out of|named pipe|missing|no <site>)"
    ) as error:
        sources.list_source(source)
    assert "Image,any" not in str(error.value)


def test_the_challenges_folder_has_no_link_out_of_it(tmp_path):
    folder = tmp_path / "source" / "stage_2_train"
    folder.mkdir(parents=True)
    (tmp_path / "secret.dcm").write_bytes(b"x")
    (folder.parent / "stage_2_train.csv").write_text(LONG)
    (folder / "ID_1.dcm").symlink_to(tmp_path / "secret.dcm")
    with pytest.raises(ValueError, match=r"ID_1\.dcm: is a link out of"):
        sources.list_source(tmp_path / "source", layout="rsna")


def test_a_loose_file_whose_name_is_no_text(tmp_path):
    with open(os.path.join(os.fsencode(tmp_path), b"a\xff.dcm"), "wb") as file:
        file.write(b"x")
    with pytest.raises(ValueError, match=r"a\\udcff\.dcm"):
        sources.list_source(tmp_path, layout="loose")


def test_the_words_of_the_fuzzer_reach_every_column():
    rows = [table(np.random.default_rng((5, n)), WIDE) for n in range(300)]
    assert any(b"../x" in row for row in rows)
    assert len(WORDS) > 30
