"""Maps of models whose slope is known, against masks whose place is known."""

import dataclasses
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fl_jax.core.types import LABELS
from fl_jax.data.dicom.hounsfield import resize
from fl_jax.data.slices import EXTENT
from fl_jax.evaluation import predictions
from fl_jax.experiment import explain
from fl_jax.experiment import model as backbone
from fl_jax.experiment import restore as trained
from fl_jax.experiment.config import Config
from fl_jax.experiment.reporter import SILENT
from fl_jax.files.jsonable import jsonable
from fl_jax.workdir import Workdir

SIZE = 32
INSIDE = np.zeros((5, SIZE, SIZE), bool)
"""Where each subtype's lesion is: all different, none symmetric."""
for number in range(5):
    INSIDE[number, 8 + 2 * number : 10 + 2 * number, 9 : 13 + number] = True


@pytest.fixture
def data(slices):
    hu = np.full((len(slices.image), SIZE, SIZE), -1000, np.int16)
    hu[:, 4:28, 4:28] = 40
    return dataclasses.replace(slices, pixels=hu, image_shape=(SIZE, SIZE))


@pytest.fixture
def holdout(data):
    predicted = predictions.Predictions(
        *(data.image, data.patient, data.site),
        split=np.where(data.site == "holdout", "holdout", "train"),
        truth=data.labels.astype(np.uint8),
        scores=np.full(data.labels.shape, 0.5),
    )
    return predictions.select(predicted, predicted.split == "holdout")


@pytest.fixture
def cohort(tmp_path, data):
    """Masks at twice the size, of every slice."""
    bits = np.zeros((2 * SIZE, 2 * SIZE), np.uint8)
    for place, inside in enumerate(INSIDE):
        bits |= np.kron(inside, np.ones((2, 2), bool)).astype(np.uint8) << place
    folder = tmp_path / "truth" / "masks"
    folder.mkdir(parents=True)
    np.savez(folder / "SYN_0.npz", images=data.image, subtypes=np.stack([bits] * len(data.image)))
    return tmp_path


@pytest.fixture
def model(monkeypatch):
    """A linear model that looks at each subtype's lesion and nowhere else; a random one looks everywhere."""
    looks = {"w": jnp.asarray(np.concatenate([INSIDE[:1], INSIDE]), jnp.float32)}
    task = SimpleNamespace(
        logits=lambda params, hu: jnp.einsum("bhw,lhw->bl", hu, params["w"]),
        init=lambda key: {"w": jax.random.normal(key, (len(LABELS), SIZE, SIZE))},
    )
    monkeypatch.setattr(backbone, "network", lambda config, shape: SimpleNamespace(task=task))
    return trained.Trained("federated", 3, looks, task.logits, SIZE, Config(), {}, False)


def measured(*inputs, seed=0):
    saliency, panels = explain.explain(*inputs, digest="digest", seed=seed, resamples=50)
    return jsonable(saliency), panels


def test_a_model_that_looks_at_the_lesion_has_its_whole_map_there(model, data, holdout, cohort):
    results, panels = measured(model, data, holdout, cohort)
    assert (results["round"], results["predictions"]) == (3, "digest")
    for place, name in enumerate(LABELS[1:]):
        row = results["subtypes"][name]
        assert row["fit"] == holdout.truth[:, place + 1].sum() == row["slices"]
        assert row["share"]["estimate"] == pytest.approx(1)
        assert row["chance"]["estimate"] == pytest.approx(INSIDE[place].sum() / 24**2, rel=0.03)
        assert row["random_share"]["estimate"] == pytest.approx(row["chance"]["estimate"], abs=0.04)
        assert abs(row["correlation"]["all"]["estimate"]) < 0.2
        assert row["correlation"]["w"] == row["correlation"]["all"]
        assert panels[name].shape == (4 * SIZE, explain.SHOWN * SIZE)


def test_a_model_that_looks_elsewhere_has_none_of_its_map_there(model, data, holdout, cohort):
    away = model._replace(params={"w": model.params["w"][:, ::-1]})  # the lesions' mirror images
    results, _ = measured(away, data, holdout, cohort)
    assert [row["share"]["estimate"] for row in results["subtypes"].values()] == [0] * 5


def test_slices_are_drawn_by_the_seed_and_no_more_than_wanted(
    model, data, holdout, cohort, monkeypatch
):
    monkeypatch.setattr(explain, "MOST", 4)
    (first, panels), (again, same), (_, other) = (
        measured(model, data, holdout, cohort, seed=seed) for seed in (0, 0, 1)
    )
    assert {row["slices"] for row in first["subtypes"].values()} == {4}
    assert first == again
    for name in LABELS[1:]:
        np.testing.assert_array_equal(panels[name], same[name])
    assert any((panels[name] != other[name]).any() for name in LABELS[1:])


def test_a_subtype_without_a_lesion_is_said_to_have_none(model, data, holdout, cohort):
    truth = holdout.truth.copy()
    truth[:, 2] = 0
    results, panels = measured(model, data, holdout._replace(truth=truth), cohort)
    assert results["subtypes"][LABELS[2]] is None
    assert LABELS[2] not in panels


def at_size(image, picture):
    return resize(picture, SIZE, (float("nan"), float("nan")))


def test_a_mask_is_where_the_slice_has_it_at_the_models_size(cohort, data):
    name = data.image[0]
    mask = explain.lesion_masks(cohort, data.image[:1], at_size)[name]
    np.testing.assert_array_equal(mask, INSIDE)
    picture = np.kron(100 * INSIDE[0].astype(np.int16), np.ones((2, 2), np.int16))
    square = (float("nan"), float("nan"))
    np.testing.assert_array_equal(resize(picture, SIZE, square) >= 50, mask[0])


def test_a_mask_of_fixed_mm_a_pixel_lies_where_the_slice_is_centred(data):
    """A file of 40 x 40 pixels of 5 mm; the slice is centred 20 mm below and 10 mm left of its centre."""
    values = dict(zip(EXTENT, (40, 40, 5.0, 5.0, 20.0, -10.0), strict=True))
    extent = {name: np.full(len(data.image), value) for name, value in values.items()}
    slices = dataclasses.replace(data, image_shape=(20, 20), spacing_mm=10.0, extent=extent)
    picture = np.zeros((80, 80), np.int16)  # the cohort draws at another matrix
    picture[46:50, 34:38] = 1000  # 10 x 10 mm about that point
    got = explain._as_stored(slices, {"a": 3}, "a", picture)
    assert got.shape == (20, 20)
    assert got[9:11, 9:11].tolist() == [[250, 250], [250, 250]]
    assert got[got > 0].sum() == 1000


def test_without_masks_the_remedy_is_named(model, data, holdout, tmp_path):
    with pytest.raises(FileNotFoundError, match="masks: lesions are known for"):
        measured(model, data, holdout, tmp_path / "none")


def test_a_model_of_three_slices_is_refused(model, data, holdout, cohort):
    around = dataclasses.replace(data, adjacent=np.zeros((len(data.image), 3), int))
    with pytest.raises(ValueError, match="read a single slice"):
        measured(model, around, holdout, cohort)


def test_pictures_of_one_call_never_go_with_numbers_of_another(
    model, data, holdout, cohort, tmp_path, monkeypatch
):
    workdir = Workdir(tmp_path / "run")
    workdir.claim()
    workdir.write_predictions("federated", holdout)
    monkeypatch.setattr(explain.restore, "load", lambda *_: model)
    monkeypatch.setattr(explain.datasets, "load", lambda _: data)
    monkeypatch.setattr(explain.experiment, "as_read", lambda _, slices: slices)

    def again(seed):
        arguments = {"cohort": cohort, "seed": seed, "resamples": 20, "reporter": SILENT}
        return explain.explain_workdir(workdir, "federated", **arguments)

    first = again(0)
    shown = [name for name, maps in first.subtypes.items() if maps is not None]
    assert shown
    assert workdir.saliency.exists()
    left = workdir.saliency_panel(shown[0])
    png = explain.pictures.png
    monkeypatch.setattr(explain.pictures, "png", lambda panel: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        again(1)
    assert not workdir.saliency.exists()
    monkeypatch.setattr(explain.pictures, "png", png)
    assert again(0) == first == workdir.read_saliency()
    measured = explain.explain
    monkeypatch.setattr(
        *(explain, "explain"),
        lambda *a, **k: measured(*a, **k)._replace(panels={}),
    )
    again(0)
    assert not left.exists()
