"""De-identifies DICOM files: pseudonyms from a key, no dates, unchanged pixels.

    (umask 077; head -c 32 /dev/urandom | base64 > FILE)
    python -m launch.deidentify --source=DIR --out=DIR --key=FILE

fl_jax/data/README.md says what is kept, what is removed, and the limits. Refused files are listed on the
screen only, since their names may identify patients. An interrupted export starts over.
"""

from pathlib import Path

from absl import app, flags
from rich.console import Console

from fl_jax.data.deidentify import folder
from launch.cli import arguments, output, progress

SOURCE = flags.DEFINE_string("source", None, "Folder to read; stays unchanged.", required=True)
OUT = flags.DEFINE_string("out", None, "Folder to write, empty or new.", required=True)
KEY = flags.DEFINE_string("key", "", "File with the secret key of the pseudonyms.")
LAYOUT = flags.DEFINE_enum("layout", "sites", list(folder.LAYOUTS), "How the source is laid out.")
SHOWN = 10
"""Refused files listed per reason."""


@progress.readable_errors()
def main(argv: list[str]) -> None:
    """Exports and lists refused files; exit status 1 if nothing could be exported."""
    arguments.only_flags(argv)
    out = Path(OUT.value).expanduser()
    with progress.reporter() as reporter:
        key = folder.read_key(Path(KEY.value).expanduser())
        tick = progress.ticker(reporter, "deidentify", "files")
        done = folder.deidentify_folder(
            Path(SOURCE.value).expanduser(), out, key, layout=LAYOUT.value, progress=tick
        )

    def text() -> None:
        say = progress.Messages(Console()).message
        for reason, paths in sorted(done.refused.items()):
            more = f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else ""
            say(f"refused, {reason}: {len(paths)}: {', '.join(paths[:SHOWN])}{more}")
        for keyword, count in sorted(done.cleared.items()):
            say(f"emptied {keyword} in {count} files: it named a person, or broke the standard")
        say(f"{done.files} files of {done.patients} patients in {out}")

    output.show(done._asdict(), text)
    if not done.files:
        raise ValueError(f"source {SOURCE.value}: no file could be exported")


if __name__ == "__main__":
    output.define_json_flag()
    app.run(main)
