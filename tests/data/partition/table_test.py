"""A partition file is read back as written; each patient has one site and one split, however it is edited."""

import numpy as np
import pytest
from make_patients import DATA

from fl_jax.data import partition as partitions
from fl_jax.data.partition import Partition


@pytest.fixture(name="path")
def _path(tmp_path):
    partitions.save(partitions.by_patient(DATA, seed=0), tmp_path / "partition.csv")
    return tmp_path / "partition.csv"


def test_saved_and_loaded_is_the_same(path):
    loaded = partitions.load(path, DATA)
    for a, b in zip(loaded, partitions.by_patient(DATA, seed=0), strict=True):
        np.testing.assert_array_equal(a, b)
    assert path.read_text().splitlines()[0] == "patient,site,split"
    assert [file.name for file in path.parent.iterdir()] == ["partition.csv"]


def edited(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    return path


def test_a_patient_on_two_sides(path):
    lines = path.read_text().splitlines()
    patient, site, split = lines[1].split(",")
    other = "test" if split == "train" else "train"
    path.write_text("\n".join([*lines, f"{patient},{site},{other}"]))
    with pytest.raises(ValueError, match=f"{patient!r} has 2 lines"):
        partitions.load(path)


def test_a_patient_listed_twice_on_one_side(path):
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, lines[1]]))
    with pytest.raises(ValueError, match="has 2 lines"):
        partitions.load(path)


def test_a_patient_moved_to_another_site(path):
    line = path.read_text().splitlines()[1]
    edited(path, line, line.replace(",a,", ",b,"))
    partitions.load(path)  # sound in itself
    with pytest.raises(ValueError, match="do not belong together"):
        partitions.load(path, DATA)


def test_made_sites_may_be_edited_but_patients_may_not(path):
    line = path.read_text().splitlines()[1]
    edited(path, line, line.replace(",a,", ",b,"))
    partitions.load(path, DATA, same_sites=False)
    path.write_text(path.read_text() + "stranger,a,train\n")
    with pytest.raises(ValueError, match="'stranger' is only in the partition"):
        partitions.load(path, DATA, same_sites=False)


def test_a_patient_missing_or_added(path):
    text = path.read_text()
    line = text.splitlines()[3]
    path.write_text(text.replace(line + "\n", ""))
    with pytest.raises(ValueError, match="only in the dataset"):
        partitions.load(path, DATA)
    path.write_text(text + "stranger,a,train\n")
    with pytest.raises(ValueError, match=r"'stranger'.* only in the partition"):
        partitions.load(path, DATA)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("patient,site,split", "patient,split,site", "first line"),
        (",train\n", ",training\n", "split 'training'"),
        (",train\n", "\n", "give patient,site,split"),
        (",train\n", ",train,x\n", "give patient,site,split"),
        (",a,train\n", ",a,holdout\n", "partly held out"),
    ],
)
def test_bad_files(path, old, new, message):
    with pytest.raises(ValueError, match=message):
        partitions.load(edited(path, old, new), DATA)


def test_rows_refuse_what_they_do_not_know():
    partition = partitions.by_patient(DATA, seed=0)
    with pytest.raises(ValueError, match="split is 'valid'"):
        partition.rows(DATA, "valid")
    with pytest.raises(ValueError, match="site is 'z'"):
        partition.rows(DATA, "train", "z")
    stranger = DATA._replace(patient=np.where(DATA.patient == "a3", "new", DATA.patient))
    with pytest.raises(ValueError, match="patient 'new'"):
        partition.rows(stranger, "train")


def test_a_partition_made_by_hand_is_checked():
    twice = Partition(np.array(["p", "p"]), np.array(["a", "a"]), np.array(["train", "test"]))
    with pytest.raises(ValueError, match="'p' has 2 lines"):
        partitions.check_disjoint(twice)
