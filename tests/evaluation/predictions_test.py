import csv
import io

import numpy as np
import pytest
from slice_scores import cohort

from fl_jax.core.types import LABELS
from fl_jax.evaluation import predictions


def _some(count: int = 5, seed: int = 0) -> predictions.Predictions:
    rng = np.random.default_rng(seed)
    number = np.arange(count)
    return predictions.Predictions(
        np.array([f"ID_{i}" for i in number]),
        np.array([f"patient, {i // 2}" for i in number]),
        np.where(number < 2, "north", "south"),
        np.where(number < 2, "validation", "test"),
        rng.integers(0, 2, (count, len(LABELS)), dtype=np.uint8),
        rng.random((count, len(LABELS)), dtype=np.float32).astype(np.float64),
    )


def _lines(tmp_path):
    path = tmp_path / "model.csv"
    predictions.write(path, _some())
    return path, path.read_text().splitlines()


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "model.csv"
    predictions.write(path, _some())
    for wrote, got in zip(_some(), predictions.read(path), strict=True):
        np.testing.assert_array_equal(got.astype(np.float32) if got.dtype == float else got, wrote)
        assert got.dtype.kind == wrote.dtype.kind
    assert [file.name for file in tmp_path.iterdir()] == ["model.csv"]


def test_the_file_is_the_studys(tmp_path):
    _, lines = _lines(tmp_path)
    assert lines[0] == "Image,subtype,pred_label,ground_truth,patient,site,split"
    assert lines[1].startswith("ID_0,any,0.")
    assert lines[1].endswith(',"patient, 0",north,validation')
    assert len(lines) == 1 + 5 * 6


def test_rows_may_stand_in_any_order_with_more_columns_and_a_byte_order_mark(tmp_path):
    path, lines = _lines(tmp_path)
    order = np.random.default_rng(0).permutation(np.arange(1, len(lines)))
    text = "".join(
        f"{line}\r\n" for line in [f"{lines[0]},note", *(f"{lines[i]},x" for i in order)]
    )
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    shuffled = predictions.read(path)
    data, sort = _some(), np.argsort(shuffled.image)
    for wrote, got in zip(data, predictions.select(shuffled, sort), strict=True):
        np.testing.assert_array_equal(got.astype(np.float32) if got.dtype == float else got, wrote)


def _edit(line: str, column: int, value: str) -> str:
    row = next(csv.reader([line]))
    row[column] = value
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow(row)
    return out.getvalue()


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        (2, "1.5", "line 9: pred_label is '1.5': write a probability"),
        (2, "nan", "line 9: pred_label is 'nan': write a number"),
        (2, "-0.1", "line 9: pred_label is '-0.1'"),
        (2, "high", "line 9: pred_label is 'high': write a number"),
        (2, "0_1", "line 9: pred_label is '0_1': write a number"),
        (2, "", "line 9: pred_label is '': write a number"),
        (3, "2", "line 9: ground_truth is '2': write 0 or 1"),
        (1, "tumour", "line 9: subtype is 'tumour': use one of any"),
        (1, "any", "line 9: Image is 'ID_1': image and subtype are repeated"),
        (6, "train", "line 9: split is 'train': use one of validation"),
        (6, "test", "line 9: split is 'test': differs from the image's first row"),
        (5, "south", "line 9: site is 'south': differs from the image's first row"),
        (4, "patient, 7", "line 9: patient is 'patient, 7': differs"),
        (4, "", "line 9: patient is '': fill it in"),
        (5, "all_sites", "line 9: site is .all_sites.: this is the report.s name for all sites"),
        (0, "ID_9", "line 8: Image is 'ID_1': the image lacks a subtype"),
    ],
)
def test_a_bad_cell_is_refused_with_its_line(tmp_path, column, value, message):
    path, lines = _lines(tmp_path)
    lines[8] = _edit(lines[8], column, value)
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(ValueError, match=f"model.csv, {message}"):
        predictions.read(path)


def test_a_patient_on_two_sides_is_refused(tmp_path):
    path, lines = _lines(tmp_path)
    lines[13:19] = [_edit(line, 4, "patient, 0") for line in lines[13:19]]
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(
        ValueError, match=r"line 14: patient is 'patient, 0': .* keep a patient on one"
    ):
        predictions.read(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: columns .* are missing"),
        ("Image,any\n", r"line 1: columns \['subtype'"),
        ("Image,subtype,pred_label,ground_truth,patient,site,split\n", "no rows below the header"),
        (
            "Image,subtype,pred_label,ground_truth,patient,site,split\nID_1,any,0.5\n",
            "line 2: 3 cells, but the header has 7",
        ),
    ],
)
def test_a_bad_file_is_refused(tmp_path, text, message):
    path = tmp_path / "model.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        predictions.read(path)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("scores", np.full((5, 6), 1.01), "scores holds NaN or a value outside"),
        ("scores", np.full((5, 6), np.nan), "scores holds NaN or a value outside"),
        ("scores", np.zeros((5, 5)), r"scores has shape \(5, 5\), not \(5, 6\)"),
        ("truth", np.full((5, 6), 2, np.uint8), "truth holds a value other than 0 and 1"),
        ("image", np.full(5, "ID_0"), "image holds an image twice"),
        ("split", np.full(5, "train"), "split holds 'train'"),
    ],
)
def test_bad_predictions_are_not_written(tmp_path, field, value, message):
    with pytest.raises(ValueError, match=message):
        predictions.write(tmp_path / "model.csv", _some()._replace(**{field: value}))
    assert not list(tmp_path.iterdir())


def test_select_takes_rows_of_every_field():
    data = _some()
    chosen = predictions.select(data, data.split == "test")
    assert chosen.image.tolist() == ["ID_2", "ID_3", "ID_4"]
    np.testing.assert_array_equal(chosen.scores, data.scores[2:])


def _other(tmp_path, columns, rows=None, name="other.csv"):
    """Another program's file on `_some`, with some of the columns and rows."""
    _, lines = _lines(tmp_path)
    table = list(csv.DictReader(lines))
    with (tmp_path / name).open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(table[slice(rows)])
    return tmp_path / name


@pytest.mark.parametrize("columns", [3, 4, 7])
def test_another_programs_file_takes_what_it_leaves_out_from_the_data(tmp_path, columns):
    path = _other(tmp_path, predictions.COLUMNS[:columns])
    found = predictions.read(path, _some())
    for wrote, got in zip(_some(), found, strict=True):
        np.testing.assert_array_equal(got.astype(np.float32) if got.dtype == float else got, wrote)
    if columns < 7:
        with pytest.raises(
            ValueError, match=r"line 1: columns \['.*'patient', 'site', 'split'\]|columns"
        ):
            predictions.read(path)


def test_another_programs_file_may_be_without_validation_images_or_have_its_own(tmp_path):
    known = _some()
    path = _other(tmp_path, predictions.COLUMNS)
    lines = path.read_text().splitlines()
    kept = [line for line in lines if not line.endswith("validation")]
    path.write_text("\n".join(kept) + "\n")
    assert (
        predictions.read(path, known).image.tolist() == known.image[known.split == "test"].tolist()
    )
    renamed = [line.replace("ID_0", "ID_own").replace("ID_1", "ID_more") for line in lines]
    renamed = [line.replace("patient, 0", "patient, 9") for line in renamed]
    path.write_text("\n".join(renamed) + "\n")
    assert predictions.read(path, known).image[:2].tolist() == ["ID_own", "ID_more"]


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        (0, "ID_77", "line 20: Image is 'ID_77': no such image among the data"),
        (2, "1.5", "line 20: pred_label is '1.5': write a probability"),
        (2, "nan", "line 20: pred_label is 'nan': write a number"),
        (3, "x", "line 20: ground_truth is 'x': write a number"),
        (4, "patient, 7", "line 20: patient is 'patient, 7': the data say otherwise"),
        (5, "north", "line 20: site is 'north': the data say otherwise"),
        (6, "holdout", "line 20: split is 'holdout': the data say otherwise"),
        (1, "tumour", "line 20: subtype is 'tumour': use one of any"),
    ],
)
def test_what_another_program_must_not_say_is_named(tmp_path, column, value, message):
    path = _other(tmp_path, predictions.COLUMNS)
    lines = path.read_text().splitlines()
    lines[19] = _edit(lines[19], column, value)
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(ValueError, match=f"other.csv, {message}"):
        predictions.read(path, _some())


def test_another_program_predicts_an_image_once(tmp_path):
    path = _other(tmp_path, predictions.COLUMNS[:3])
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, lines[19]]) + "\n")
    with pytest.raises(
        ValueError, match="line 32: Image is 'ID_3': image and subtype are repeated"
    ):
        predictions.read(path, _some())


def test_a_truth_that_the_data_do_not_have_is_named(tmp_path):
    path = _other(tmp_path, predictions.COLUMNS[:4])
    lines = path.read_text().splitlines()
    truth = lines[19].rsplit(",", 1)[1]
    lines[19] = _edit(lines[19], 3, str(1 - int(truth)))
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(ValueError, match=r"line 20: ground_truth is '.': the data say otherwise"):
        predictions.read(path, _some())


def test_images_that_another_program_leaves_out_are_counted(tmp_path):
    path = _other(tmp_path, predictions.COLUMNS[:4], 18)
    with pytest.raises(ValueError, match=r"other\.csv: lacks 2 of 3 images .* such as 'ID_3'"):
        predictions.read(path, _some())


def test_a_column_of_another_program_is_not_doubled_and_its_own_images_are_known(tmp_path):
    path = _other(tmp_path, predictions.COLUMNS)
    text = path.read_text()
    path.write_text(text.replace("site,split", "site,site"))
    with pytest.raises(ValueError, match=r"columns \['site'\] are missing or doubled"):
        predictions.read(path, _some())
    path = _other(tmp_path, [*predictions.COLUMNS[:3], "split"])
    path.write_text(path.read_text().replace("ID_0", "ID_own"))
    with pytest.raises(
        ValueError, match=r"line 2: Image is 'ID_own', .*\['ground_truth', 'patient"
    ):
        predictions.read(path, _some())


def test_align_sorts_alike_and_refuses_other_images():
    data = cohort()
    shuffled = predictions.select(data, np.random.default_rng(0).permutation(data.image.size))
    ordered = predictions.align({"a": data, "b": shuffled})
    np.testing.assert_array_equal(ordered["a"].scores, ordered["b"].scores)
    for other in (predictions.select(data, np.arange(3)), data._replace(truth=1 - data.truth)):
        with pytest.raises(ValueError, match="the models 'a' and 'b' differ in "):
            predictions.align({"a": data, "b": other})
