"""Nothing that an experiment writes or says holds a name, a birth date or an identifier of a person."""

import csv
import traceback

import make_dicom
import planted
import pydicom
import pytest

from configs import ich_fed_avg
from fl_jax.data.dataset import prepare
from fl_jax.data.deidentify.folder import deidentify_folder
from fl_jax.data.slices import load
from fl_jax.experiment.config import Config
from fl_jax.experiment.evaluate import Request, evaluate
from fl_jax.experiment.reporter import Reporter
from fl_jax.experiment.train import train_arm
from fl_jax.report.build import build
from fl_jax.workdir import Workdir

NAME, ID = "Zyglewicz", "MRN7700"
BAD = {
    "modality": {"Modality": NAME},
    "type": {"ImageType": ["DERIVED", NAME]},
    "localizer": {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER", NAME]},
    "class": {"SOPClassUID": "1.2.840.9876543"},
    "photometric": {"PhotometricInterpretation": NAME},
    "colour": {"PhotometricInterpretation": f"RGB {NAME}", "SamplesPerPixel": 3},
    "unit": {"RescaleType": NAME},
    "orientation": {"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]},
    "frames": {"NumberOfFrames": 3},
    "bits": {"BitsStored": 7},
    "long": {"PatientID": ID * 60},
    "control": {"PatientID": f"{ID}\a"},
    "study": {"StudyInstanceUID": f"1.2.840.9876543.\n{NAME}"},
    "series": {"SeriesInstanceUID": f"1.2.840.9876543.\n{NAME}"},
    "empty": {"PixelData": b""},
}


@pytest.fixture(name="source", scope="module")
def _source(tmp_path_factory):
    return planted.write(tmp_path_factory.mktemp("source"), {"a": 4, "b": 4, "holdout": 2})


def test_the_search_finds_what_is_there(source):
    wanted = planted.secrets(source)
    found = planted.leaks(source, wanted)
    assert {secret for _, secret in found} == wanted


def test_dataset_checkpoints_predictions_and_report_hold_no_person(source, tmp_path, capfd):
    wanted = planted.secrets(source)
    Workdir(tmp_path).claim()
    prepare(source, data_dir=tmp_path / "data", image_size=16, workers=0)
    opened = load(tmp_path / "data")
    records = opened.source.__getitems__(list(range(len(opened))))  # compressed on disk
    assert not [s for s in wanted for record in records if s in record["image"]]
    config = ich_fed_avg.get_config()
    config.image_size = 16
    config.model = "resnet(widths=(4,), blocks=(1,), strides=(1,), stem=4)"
    config.rounds, config.min_sites, config.layout = 1, 2, "sequential"
    train_arm(Config.of(config), Workdir(tmp_path))
    build(Workdir(tmp_path), resamples=10)
    scans, said = bad_files(tmp_path.parent / "scans"), Said()
    (scans / "good").write_bytes((source / "a" / "input" / "data" / "ID_a_0_0.dcm").read_bytes())
    evaluate(Workdir(tmp_path), Request(source=scans, out=tmp_path / "inference", workers=0), said)
    assert not planted.in_bytes((said.text + "".join(capfd.readouterr())).encode(), wanted)
    written = {path.suffix for path in tmp_path.rglob("*") if path.is_file()}
    assert {".csv", ".json", ".jsonl", ".html", ".png"} < written
    assert not planted.leaks(tmp_path, wanted)


def bad_files(folder):
    """Files that are refused, with the secrets in every element, also in those that the refusal is about."""
    folder.mkdir(parents=True)
    for name, header in BAD.items():
        original = make_dicom.dataset(**planted.SECRETS | {"PatientID": f"{ID}x"} | header)
        (folder / f"{name}.dcm").write_bytes(make_dicom.encode(original))
    good = make_dicom.ct(**planted.SECRETS, PatientID=f"{ID}Z")
    element = b"\x10\0\x20\0LO\x08\0"
    assert element in good
    for name, data in {
        "number": good.replace(element, b"\x10\0\x20\0FD\x08\0").replace(b"7700Z", b"7700\xff"),
        "sequence": good.replace(element, b"\x10\0\x20\0SQ\x08\0"),
        "overlong": good.replace(element, b"\x10\0\x20\0LO\xf0\0"),
        "truncated": good[: good.index(element) + 12],
        "text": f"{NAME} {ID} ".encode() * 50,
        f"{ID}Z": good.replace(b"CS\2\0CT", b"CS\2\0MR"),
    }.items():
        (folder / f"{name}.dcm").write_bytes(data)
    return folder


def test_refused_files_leave_no_secret_in_what_is_written_or_said(tmp_path):
    source = planted.write(tmp_path / "source", {"a": 3})
    wanted = planted.secrets(source)
    labels = source / "a" / "input" / "labels.csv"
    names = [path.stem for path in bad_files(tmp_path / "bad").iterdir()]
    for path in (tmp_path / "bad").iterdir():
        path.rename(source / "a" / "input" / "data" / path.name)
    with labels.open("a", newline="") as file:
        csv.writer(file).writerows([[name, *[0] * 6, NAME] for name in names])
    with pytest.raises(ValueError, match="most often as") as error:
        prepare(source, data_dir=tmp_path / "none", image_size=16, max_refused=0, workers=0)
    said = "".join(traceback.format_exception(error.value)).encode()
    summary = prepare(source, data_dir=tmp_path / "data", image_size=16, max_refused=1, workers=0)
    refused = summary["sites"]["a"]["refused"]
    assert sum(refused.values()) >= len(BAD) + 3
    assert not planted.in_bytes(said + repr(summary).encode(), wanted)
    assert not planted.leaks(tmp_path / "data", wanted) + planted.leaks(tmp_path / "none", wanted)
    deidentify_folder(source, tmp_path / "out", bytes(32))
    allowed = {
        NAME.encode()
    }  # where only the element that was asked for has the name, or no name is known
    assert not planted.leaks(tmp_path / "out", wanted - allowed)


def edit(path, **header):
    changed = pydicom.dcmread(path)
    for keyword, value in header.items():
        setattr(changed, keyword, value)
    changed.save_as(path)


@pytest.mark.parametrize("fault", ["patient", "picture", "name", "label"])
def test_errors_of_a_build_leave_no_secret_in_what_is_said(tmp_path, fault):
    source = planted.write(tmp_path / "source", {"a": 2, "b": 2})
    wanted = planted.secrets(source)
    first, other = (sorted((source / site / "input" / "data").iterdir())[0] for site in "ab")
    labels = source / "b" / "input" / "labels.csv"
    if fault == "patient":
        edit(other, PatientID=pydicom.dcmread(first).PatientID)
    elif fault == "picture":
        edit(other, PixelData=pydicom.dcmread(first).PixelData)
    elif fault == "name":
        named = f"{pydicom.dcmread(other).PatientID}_1"
        labels.write_text(labels.read_text().replace(other.stem, named))
        other.rename(other.with_name(f"{named}.dcm"))
    else:
        labels.write_text(labels.read_text().replace(",0,", f",{NAME},", 1))
    with pytest.raises(
        ValueError, match=str(source) if fault != "picture" else "ID_a_0_0"
    ) as error:
        prepare(source, data_dir=tmp_path / "data", image_size=16, workers=0)
    assert not planted.in_bytes("".join(traceback.format_exception(error.value)).encode(), wanted)
    assert not planted.leaks(tmp_path / "data", wanted)


class Said(Reporter):
    def __init__(self):
        self.text = ""

    def message(self, text):
        self.text += text

    def dataset_ready(self, summary):
        self.text += repr(summary)
