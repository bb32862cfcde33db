"""Builds a dataset from DICOM files and prints its counts by site.

    python -m launch.prepare_data --source=DIR --layout=sites --data_dir=DIR --image_size=128

A complete dataset of the same source and options is kept. Files that cannot be read are refused: the last
table counts the reasons, `<data_dir>/refused.csv` lists the files.
"""

from pathlib import Path

from absl import app, flags
from rich.console import Console

from fl_jax.data import dicom, sources
from fl_jax.experiment import prepare
from launch.cli import arguments, output, progress

SOURCE = flags.DEFINE_string("source", None, "Folder to read.", required=True)
LAYOUT = flags.DEFINE_enum("layout", "sites", list(sources.LAYOUTS), "How the folder is laid out.")
DATA_DIR = flags.DEFINE_string("data_dir", None, "Where the dataset goes.", required=True)
IMAGE_SIZE = flags.DEFINE_integer("image_size", 128, "Height and width, pixels.", lower_bound=1)
SPACING = flags.DEFINE_float(
    "spacing_mm",
    0.0,
    "mm a pixel, centred on the head; 0 fits each file's field of view.",
    0.0,
    100.0,
)
MAX_REFUSED = flags.DEFINE_float(
    "max_refused", 0.01, "Largest share of files that may be refused.", 0.0, 1.0
)
REPAIRS = flags.DEFINE_multi_enum(
    "repair",
    [repair.name for repair in dicom.Repair],
    [*(repair.name for repair in dicom.Repair), "NONE"],
    "Permitted repair; may be repeated. A file that needs another repair is refused.",
)
WORKERS = flags.DEFINE_integer("workers", None, "Reading processes; by default one a core.", 0)


@progress.readable_errors()
def main(argv: list[str]) -> None:
    """Prepares the dataset and prints its tables; an error is one line and exit status 1."""
    arguments.only_flags(argv)
    data_dir = Path(DATA_DIR.value).expanduser()
    with progress.reporter() as reporter:
        summary, _ = prepare.prepare(
            Path(SOURCE.value).expanduser(),
            layout=LAYOUT.value,
            data_dir=data_dir,
            image_size=IMAGE_SIZE.value,
            spacing_mm=SPACING.value,
            max_refused=MAX_REFUSED.value,
            workers=WORKERS.value,
            repairs=frozenset(r for r in dicom.Repair if r.name in REPAIRS.value),
            reporter=reporter,
        )

    def text() -> None:
        out = progress.Messages(Console())
        out.dataset_ready(summary)
        size = IMAGE_SIZE.value
        mm = f" of {SPACING.value:g} mm" if SPACING.value else ""
        out.message(f"dataset in {data_dir}, {size} x {size} pixels{mm}")

    output.show(summary, text)


if __name__ == "__main__":
    output.define_json_flag()
    app.run(main)
