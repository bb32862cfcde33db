import csv

import pytest

from fl_jax.data import pseudonyms

HEAD = ("image", "patient", "study", "series", "site")
LINES = [
    ("i1", "MRN-20", "1.9", "1.9.1", "a"),
    ("i2", "MRN-3", "1.10", "1.10.2", "b"),
    ("i3", "MRN-20", "1.9", "1.9.2", "a"),
    ("i4", "MRN-1", "1.2", "1.2.1", "a, or b"),
]


def write(path, lines):
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([HEAD, *lines])
    return path


def test_numbers_keep_groups_and_order_and_the_rest(tmp_path):
    path = write(tmp_path / "index.csv", LINES)
    assert pseudonyms.number_identifiers(path) == {"MRN-1": "p1", "MRN-20": "p2", "MRN-3": "p3"}
    with path.open(newline="") as file:
        lines = [*csv.reader(file)]
    assert lines == [
        [*HEAD],
        ["i1", "p2", "study3", "series3", "a"],
        ["i2", "p3", "study1", "series1", "b"],
        ["i3", "p2", "study3", "series4", "a"],
        ["i4", "p1", "study2", "series2", "a, or b"],
    ]
    assert [file.name for file in tmp_path.iterdir()] == ["index.csv"]


def test_numbers_sort_as_they_count(tmp_path):
    lines = [(f"i{n}", f"MRN-{n:04d}", "s", "s", "a") for n in range(120)]
    numbers = pseudonyms.number_identifiers(write(tmp_path / "index.csv", lines))
    assert sorted(numbers.values()) == [*numbers.values()]
    assert numbers["MRN-0008"] == "p009"


@pytest.mark.parametrize(
    ("image", "patient"),
    [("scan_mrn-77_1", "MRN-77"), ("x7700s1", "7700"), ("MRN-77abc", "MRN-77"), ("a.b+c", "a.b+")],
)
def test_an_image_that_names_its_patient_is_refused(tmp_path, image, patient):
    path = write(tmp_path / "index.csv", [*LINES, (image, patient, "s", "s", "a")])
    with pytest.raises(ValueError, match=r"has its patient's ID .*launch.deidentify"):
        pseudonyms.number_identifiers(path)


@pytest.mark.parametrize(
    ("image", "patient"), [("ID_12", "12"), ("ID_00000012", "ID_0000001"), ("x17700", "7700")]
)
def test_a_short_id_or_a_longer_number_in_an_images_name_is_chance(tmp_path, image, patient):
    path = write(tmp_path / "index.csv", [(image, patient, "1.9", "1.9.1", "a")])
    assert pseudonyms.number_identifiers(path) == {patient: "p1"}
    assert path.read_text().splitlines() == [",".join(HEAD), f"{image},p1,study1,series1,a"]


def test_nothing_of_an_identifier_is_left(tmp_path):
    path = write(tmp_path / "index.csv", LINES)
    pseudonyms.number_identifiers(path)
    text = path.read_text()
    assert not [value for line in LINES for value in line[1:4] if value in text]


def test_a_refused_index_is_left_as_it_was(tmp_path):
    path = write(tmp_path / "index.csv", [*LINES, ("MRN-77abc", "MRN-77", "s", "s", "a")])
    before = path.read_bytes()
    with pytest.raises(ValueError, match="has its patient's ID"):
        pseudonyms.number_identifiers(path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["index.csv"]


def test_a_truncated_index_is_named(tmp_path):
    path = write(tmp_path / "index.csv", [LINES[0], LINES[1][:3]])
    with pytest.raises(ValueError, match=r"index\.csv, line 3: is truncated"):
        pseudonyms.number_identifiers(path)
