"""A picture under two patients joins them, in the dataset, in every partition, and across chains."""

import jax
import make_dicom
import make_rsna
import make_site
import numpy as np
import pytest

from fl_jax.data import duplicates, partition, pipeline
from fl_jax.data.dataset import prepare
from fl_jax.data.duplicates import Copy
from fl_jax.data.slices import load
from fl_jax.experiment.arms import plan_arms


def build(source, data_dir, layout="rsna", **options):
    return prepare(source, layout=layout, data_dir=data_dir, image_size=16, workers=0, **options)


@pytest.fixture(name="shared", scope="module")
def _shared(tmp_path_factory):
    """Twelve patients, of whom 0 and 7 share a picture, and so 7 and 9."""
    folder = tmp_path_factory.mktemp("shared")
    source = make_rsna.write_rsna(folder / "rsna", patients=12, shared=[(0, 7), (7, 9)])
    return build(source, folder / "data"), load(folder / "data")


def test_equal_pictures_are_found_by_their_digest():
    pictures = duplicates.PictureDigests()
    disc, air = make_dicom.disc().astype(np.int16), np.full((24, 24), -1000, np.int16)
    for hu in (disc, disc + 1, air, disc, air, np.roll(disc, 1)):
        pictures.add(duplicates.digest(hu))
    digests = pictures.repeated()
    assert list(digests) == [0, 3]  # air is nobody's
    assert digests[0] == digests[3]
    assert duplicates.PictureDigests().repeated() == {}


def test_links_go_through_chains():
    pairs = [("1", "b"), ("1", "a"), ("2", "d"), ("2", "b"), ("3", "y"), ("3", "x"), ("4", "z")]
    copies = [Copy(pixels, "", patient, "s") for pixels, patient in [*pairs, ("4", "z")]]
    assert duplicates.linked_patients(copies) == {"a": "a", "b": "a", "d": "a", "x": "x", "y": "x"}
    assert duplicates.linked_patients([]) == {}


def test_the_dataset_reports_them(shared):
    summary, slices = shared
    counts = summary["sites"]["rsna"]
    assert (counts["shared_pictures"], counts["linked_patients"]) == (4, 3)
    names = [f"p{patient + 1:02d}" for patient in (0, 7, 9)]  # as the dataset numbers them
    assert slices.linked == dict.fromkeys(names, names[0])
    assert len(slices) == 38
    assert counts["patients"] == 12


def test_no_shared_picture_straddles_a_split(shared):
    _, slices = shared
    for seed in range(20):
        divided = partition.by_patient(slices, seed=seed)
        sides = dict(zip(divided.patient.tolist(), divided.split.tolist(), strict=True))
        assert len(sides) == 12
        assert len({sides[patient] for patient in slices.linked}) == 1
        assert {"train", "validation", "test"} == set(divided.split)
        order = [(s, partition.SPLITS.index(x), p) for p, s, x in zip(*divided, strict=True)]
        assert order == sorted(order)


def test_a_partition_that_parts_them_is_refused(shared, tmp_path):
    _, slices = shared
    divided = partition.by_patient(slices, seed=0)
    split = divided.split.copy()
    row = divided.patient.tolist().index("p10")
    split[row] = "test" if split[row] != "test" else "train"
    partition.save(divided._replace(split=split), tmp_path / "partition.csv")
    with pytest.raises(ValueError, match=r"'p10' .* 'p01' .*share a picture"):
        partition.load(tmp_path / "partition.csv", slices)


def test_a_picture_at_two_sites_is_an_error(tmp_path):
    source = make_site.write_cohort(tmp_path / "source", {"north": 3, "south": 3})
    data = [source / site / "input" / "data" for site in ("north", "south")]
    path = data[1] / "ID_south_2_0.dcm"
    hu = make_dicom.disc(brain=20.0)  # of the north's first patient
    path.write_bytes(make_dicom.ct(hu, PatientID="south-2"))
    words = (
        r"two patients, at site 'north' and at site 'south', have the same picture \(images "
        r"'ID_north_0_0' at site 'north', 'ID_south_2_0' at site 'south'\)"
    )
    with pytest.raises(ValueError, match=words) as error:
        build(source, tmp_path / "data", "sites")
    assert "south-2" not in str(error.value)


def test_the_truncated_image_is_refused_and_counted(tmp_path):
    source = make_rsna.write_rsna(tmp_path / "rsna")
    path = source / "stage_2_train" / "ID_000000003.dcm"
    path.write_bytes(path.read_bytes()[:-100])
    summary = build(source, tmp_path / "data", max_refused=0.1)
    assert summary["sites"]["rsna"]["refused"] == {"truncated": 1}
    assert summary["sites"]["rsna"]["slices"] == 17
    slices = load(tmp_path / "data")
    assert "ID_000000003" not in slices.image
    assert set(slices.study) == {f"study{patient}" for patient in range(1, 7)}
    table = (source / "stage_2_train.csv").read_text()
    for image, labels in zip(slices.image, slices.labels, strict=True):
        assert all(f"{row}\n" in table for row in make_rsna.lines(image, _positive(labels)))


def _positive(labels):
    return [name for name, value in zip(make_rsna.LABELS, labels, strict=True) if value]


# --- files without labels


@pytest.fixture(name="loose", scope="module")
def _loose(tmp_path_factory):
    folder = tmp_path_factory.mktemp("loose")
    source = make_rsna.write_rsna(folder / "export")
    summary = build(source, folder / "data", "loose", max_refused=1.0)
    return summary, load(folder / "data")


def test_absent_labels_are_neither_zeros_nor_ones(loose):
    summary, slices = loose
    assert summary["sites"]["loose"]["refused"] == {"not a DICOM image": 1}  # the table
    assert not slices.labelled
    assert (slices.labels == -1).all()
    assert slices.labels.shape == (18, 6)
    assert slices.image[0] == "stage_2_train/ID_000000000.dcm"
    batch = next(pipeline.eval_batches(slices, np.arange(4), batch_size=4))
    assert (batch.labels == -1).all()


def test_neither_partition_nor_training_takes_them(loose, shared):
    with pytest.raises(ValueError, match="no labels: it is for inference only"):
        partition.by_patient(loose[1], seed=0)
    labelled = shared[1]
    assert labelled.labelled
    divided = partition.by_patient(labelled, seed=0)
    with pytest.raises(ValueError, match="no labels: it is for inference only"):
        plan_arms(loose[1], divided, rounds=1, epochs=1, min_sites=1, key=jax.random.key(0))
