"""Label tables and partition files with faults of every kind: read whole or refused by name.

`FL_JAX_FUZZ=20000` for more than the default run's share.
"""

import os
import re

import numpy as np
import pytest
from fuzzing import WORDS, count, each, nothing_written, table

from fl_jax.data import partition, sources
from fl_jax.data.sources.rsna import read_long
from fl_jax.types import LABELS

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


def fuzz(tmp_path, seed, text, read, sound):
    path = tmp_path / "table.csv"

    def judge(data):
        path.write_bytes(data)
        try:
            found = read(path)
        except ValueError as error:
            return "refused" if str(path) in str(error) else f"unnamed: {error}"
        sound(found)
        return "read"

    with nothing_written(tmp_path, "table.csv"):
        outcomes = each(seed, count(600), lambda generator: table(generator, text), judge)
    assert outcomes.keys() == {"read", "refused"}, outcomes
    assert min(outcomes.values()) > 20, outcomes


def test_site_labels(tmp_path):
    fuzz(tmp_path, 2, WIDE, lambda path: sources.read_labels(path)[0], sound_labels)


def test_the_challenges_labels(tmp_path):
    def sound(found):
        for image, bits in found.items():
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
