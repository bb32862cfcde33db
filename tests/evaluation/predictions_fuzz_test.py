"""Prediction files with faults of every kind: probabilities in whole tables, or a refusal by name."""

import numpy as np
import pytest
from fuzzing import count, each, nothing_written, table

from fl_jax.core.types import LABELS
from fl_jax.evaluation import predictions
from fl_jax.files.text import is_name

TEXT = ",".join(predictions.COLUMNS) + "\n"
TEXT += "".join(
    f"ID_{n},{label},{0.1 * n + 0.01:.9g},{int(n == 1)},P{n // 2},{'ab'[n // 2]},test\n"
    for n in range(4)
    for label in LABELS
)


def sound(read):
    images = len(read.image)
    assert images > 0
    assert len(set(read.image.tolist())) == images
    assert read.scores.shape == read.truth.shape == (images, len(LABELS))
    assert np.isfinite(read.scores).all()
    assert ((read.scores >= 0) & (read.scores <= 1)).all()
    assert set(read.truth.ravel().tolist()) <= {0, 1}
    assert set(read.split.tolist()) <= set(predictions.SPLITS)
    assert all(is_name(name) for name in read.image.tolist())


def test_no_file_breaks_the_promise(tmp_path):
    path = tmp_path / "model.csv"

    def judge(data):
        path.write_bytes(data)
        try:
            found = predictions.read(path)
        except ValueError as error:
            return "refused" if str(path) in str(error) else f"unnamed: {error}"
        sound(found)
        return "read"

    with nothing_written(tmp_path, "model.csv"):
        outcomes = each(6, count(600), lambda generator: table(generator, TEXT), judge)
    assert outcomes.keys() == {"read", "refused"}, outcomes
    assert min(outcomes.values()) > 20, outcomes


def test_no_file_of_another_program_breaks_the_promise(tmp_path):
    path = tmp_path / "theirs.csv"
    path.write_text(TEXT)
    known = predictions.read(path)
    rows = [line.split(",") for line in TEXT.splitlines()]
    texts = ["\n".join(",".join(row[:columns]) for row in rows) + "\n" for columns in (3, 4, 7)]

    def judge(data):
        path.write_bytes(data)
        try:
            found = predictions.read(path, known)
        except ValueError as error:
            return "refused" if str(path) in str(error) else f"unnamed: {error}"
        sound(found)
        place = {name: at for at, name in enumerate(found.image.tolist())}
        assert known.image.tolist() == [name for name in known.image.tolist() if name in place]
        ours = predictions.select(found, np.array([place[name] for name in known.image.tolist()]))
        for field in ("image", "patient", "site", "split", "truth"):
            np.testing.assert_array_equal(getattr(ours, field), getattr(known, field))
        return "read"

    def made(generator):
        return table(generator, texts[int(generator.integers(3))])

    with nothing_written(tmp_path, path.name):
        outcomes = each(15, count(600), made, judge)
    assert outcomes.keys() == {"read", "refused"}, outcomes
    assert min(outcomes.values()) > 20, outcomes


@pytest.mark.parametrize(
    "name", ["../x", "/etc/x", "a/../b", "..\\x", "a\0b", "a\x1b[2J", "a" * 1001]
)
@pytest.mark.parametrize("column", ["ID_1", "P0"])
def test_a_name_leads_nowhere(tmp_path, column, name):
    path = tmp_path / "model.csv"
    path.write_text(TEXT.replace(column + ",", name + ","))
    with pytest.raises(ValueError, match="no control character"):
        predictions.read(path)


def test_a_loose_file_is_named_by_its_path(tmp_path):
    path = tmp_path / "model.csv"
    path.write_text(TEXT.replace("ID_1,", "a/b/ID_1.dcm,"))
    assert "a/b/ID_1.dcm" in predictions.read(path).image.tolist()
