import csv

import pytest

from fl_jax.data.pseudonyms import Numbers, without_id

HEAD = ("image", "patient", "study", "series", "site")
LINES = [
    ("i1", "MRN-20", "1.9", "1.9.1", "a"),
    ("i2", "MRN-3", "1.10", "1.10.2", "b"),
    ("i3", "MRN-20", "1.9", "1.9.2", "a"),
    ("i4", "MRN-1", "1.2", "1.2.1", "a, or b"),
]


def write(path, lines):
    numbers = Numbers()
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEAD)
        for image, patient, study, series, site in lines:
            writer.writerow([image, *numbers.provisional(patient, study, series), site])
    return numbers


def test_numbers_keep_groups_and_order_and_the_rest(tmp_path):
    path = tmp_path / "index.csv"
    numbers = write(path, LINES)
    assert not [
        v for line in LINES for v in line[1:4] if v in path.read_text()
    ]  # nor while it is built
    numbers.rewrite(path)
    assert numbers.patients() == {"MRN-1": "p1", "MRN-20": "p2", "MRN-3": "p3"}
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


def test_numbers_sort_as_they_count():
    numbers = Numbers()
    for n in range(120):
        numbers.provisional(f"MRN-{n:04d}", "s", "s")
    assert sorted(numbers.patients().values()) == [*numbers.patients().values()]
    assert numbers.patients()["MRN-0008"] == "p009"


@pytest.mark.parametrize(
    ("name", "patient", "expected"),
    [
        ("a/scan_mrn-77_1", "MRN-77", "a/scan_[PatientID]_1"),
        ("x7700s1", "7700", "x[PatientID]s1"),
        ("MRN-77abc", "MRN-77", "[PatientID]abc"),
        ("a.b+c", "a.b+", "[PatientID]c"),
        ("ID_12", "12", "ID_12"),
        ("ID_00000012", "ID_0000001", "ID_00000012"),
        ("x17700", "7700", "x17700"),
    ],
)
def test_an_id_leaves_a_name_unless_it_is_short_or_part_of_a_longer_number(name, patient, expected):
    assert without_id(name, patient) == expected
