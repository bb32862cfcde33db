"""Writes DICOM files without the persons: pseudonyms from a key, no dates, pixels untouched.

    (umask 077; head -c 32 /dev/urandom | base64 > FILE)
    python -m launch.deidentify --source=DIR --out=DIR --key=FILE

What stays, what goes, and what this cannot do is in fl_jax/data/README.md. Files that are refused are
named on the screen and nowhere else, since their names may tell of persons.
"""

from pathlib import Path

from absl import app, flags
from rich.console import Console

from fl_jax.data.deidentify import folder
from launch.cli import output, progress

SOURCE = flags.DEFINE_string("source", None, "Folder to read; it is left as it is.", required=True)
OUT = flags.DEFINE_string("out", None, "Folder to write, empty or new.", required=True)
KEY = flags.DEFINE_string("key", "", "File of the secret that pseudonyms come from.")
LAYOUT = flags.DEFINE_enum("layout", "sites", list(folder.LAYOUTS), "How the source is laid out.")
SHOWN = 10
"""Refused files of a reason that are named."""


def main(argv: list[str]) -> None:
    """Exports and says what was refused; exit status 1 where nothing could be exported."""
    if len(argv) > 1:
        raise app.UsageError(f"what is {argv[1]!r}? Every option is a flag; see --help")
    out = Path(OUT.value).expanduser()
    with progress.readable_errors(), progress.reporter() as reporter:
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
            say(f"emptied {keyword} in {count} files: it contained part of a name or an identifier")
        say(f"{done.files} files of {done.patients} patients in {out}")

    output.show(done._asdict(), text)
    if not done.files:
        with progress.readable_errors():
            raise ValueError(f"source {SOURCE.value}: no file could be exported")


if __name__ == "__main__":
    output.define_json_flag()
    app.run(main)
