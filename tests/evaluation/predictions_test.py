import csv
import io

import numpy as np
import pytest

from fl_jax.evaluation import predictions
from fl_jax.types import LABELS


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
        (2, "nan", "line 9: pred_label is 'nan': write a probability"),
        (2, "-0.1", "line 9: pred_label is '-0.1'"),
        (2, "high", "line 9: pred_label is 'high': write a number"),
        (2, "0_1", "line 9: pred_label is '0_1': write a number"),
        (2, "", "line 9: pred_label is '': write a number"),
        (3, "2", "line 9: ground_truth is '2': write 0 or 1"),
        (1, "tumour", "line 9: subtype is 'tumour': use one of any"),
        (1, "any", "line 9: Image is 'ID_1': this image and subtype stand twice"),
        (6, "train", "line 9: split is 'train': use one of validation"),
        (6, "test", "line 9: split is 'test': differs from the image's first row"),
        (5, "south", "line 9: site is 'south': differs from the image's first row"),
        (4, "patient, 7", "line 9: patient is 'patient, 7': differs"),
        (4, "", "line 9: patient is '': fill it in"),
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
            "line 2: 3 fields where the header has 7",
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
