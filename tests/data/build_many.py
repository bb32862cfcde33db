"""Lists and builds many small files of the RSNA challenge's shape, and prints what that took as JSON.

    python tests/data/build_many.py FOLDER FILES WORKERS

All files differ: equal ones would be duplicates.
"""

import json
import multiprocessing
import pathlib
import resource
import sys
import time

import make_rsna

from fl_jax.data import sources

SLICES = 32
SIDE = 64
EVERY = 5000


def write(root: pathlib.Path, files: int) -> None:
    """Writes `files` images of 64 x 64 by changing identifiers and pixels in the bytes of one."""
    data = root / "stage_2_train"
    data.mkdir(parents=True)
    hu = make_rsna.make_dicom.disc(SIDE, SIDE)
    marks = [b"ID_00000000", b"ID_0000000000", b"ID_0000000100"]
    one = make_rsna.image(0, 0, 0, PixelData=hu.astype("<i2").tobytes(), Rows=SIDE, Columns=SIDE)
    tables = []
    for number in range(files):
        patient = number // SLICES
        image_bytes = one
        for mark in marks[::-1]:
            width = len(mark) - 3
            image_bytes = image_bytes.replace(mark, f"ID_{patient + 2**24:0{width}x}".encode())
        pixels = (number % 1000).to_bytes(2, "little") + (number // 1000).to_bytes(2, "little")
        image = f"ID_{number:09x}"
        (data / f"{image}.dcm").write_bytes(image_bytes[:-4000] + pixels + image_bytes[-3996:])
        tables += make_rsna.lines(image, ["subdural"] if number % 7 == 0 else [])
    make_rsna.write_table(root, tables)


def resident(process: int | str = "self") -> float:
    """MB of a process now."""
    pages = int(pathlib.Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def main(folder: pathlib.Path, files: int, workers: int) -> None:
    from fl_jax.data.dataset import prepare  # TFDS, which worker processes do without
    from fl_jax.data.slices import load

    source = folder / "rsna"
    write(source, files)
    before, began = resident(), time.monotonic()
    listed = len(sources.list_source(source, layout="rsna").items)
    listing = time.monotonic() - began
    samples: list[tuple[int, float, float, float]] = []
    began = time.monotonic()

    def sample(done: int, total: int) -> None:
        if done % EVERY == 0:
            readers = [resident(child.pid or "self") for child in multiprocessing.active_children()]
            samples.append((done, time.monotonic() - began, resident(), max(readers, default=0.0)))

    summary = prepare(
        source,
        layout="rsna",
        data_dir=folder / "data",
        image_size=SIDE,
        workers=workers,
        progress=sample,
    )
    whole = time.monotonic() - began
    began = time.monotonic()
    opened = load(folder / "data")
    counts = {
        "sample": "files, seconds, MB, MB of the largest reader",
        "listed": listed,
        "listing_seconds": listing,
        "before_mb": before,
        "read": samples,
        "build_seconds": whole,
        "open_seconds": time.monotonic() - began,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
        "slices": len(opened),
        "site": summary["sites"]["rsna"],
    }
    print(json.dumps(counts))


if __name__ == "__main__":  # reading processes import this file too
    main(pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
