"""Damage to a run's checkpoints, at random."""

import random
from collections.abc import Callable
from pathlib import Path


def flipped_bit(checkpoints: Path, generator: random.Random) -> None:
    """Flips one bit of one file of the newest step."""
    path = generator.choice([path for path in _files(_step(checkpoints)) if path.stat().st_size])
    content = bytearray(path.read_bytes())
    content[generator.randrange(len(content))] ^= 1 << generator.randrange(8)
    path.write_bytes(content)


def truncated_file(checkpoints: Path, generator: random.Random) -> None:
    """Cuts one file of the newest step short."""
    path = generator.choice([path for path in _files(_step(checkpoints)) if path.stat().st_size])
    content = path.read_bytes()
    path.write_bytes(content[: generator.randrange(len(content))])


def missing_metadata(checkpoints: Path, generator: random.Random) -> None:
    """Removes one of the files of the newest step in which Orbax describes it."""
    named = [path for path in _files(_step(checkpoints)) if "METADATA" in path.name.upper()]
    generator.choice(named).unlink()


def half_deleted_step(checkpoints: Path, generator: random.Random) -> None:
    """Removes some files of the newest step, as a deletion that is cut off does."""
    _delete_some(_files(_step(checkpoints)), generator)


def half_deleted_step_before(checkpoints: Path, generator: random.Random) -> None:
    """The same of the step before the newest."""
    _delete_some(_files(_step(checkpoints, 1)), generator)


def _delete_some(files: list[Path], generator: random.Random) -> None:
    for path in generator.sample(files, generator.randint(1, len(files))):
        path.unlink()


def _step(checkpoints: Path, before: int = 0) -> Path:
    steps = sorted(
        (p for p in checkpoints.iterdir() if p.name.isdecimal()), key=lambda p: int(p.name)
    )
    return steps[-1 - before]


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


KINDS: dict[str, Callable[[Path, random.Random], None]] = {
    "flipped bit": flipped_bit,
    "truncated file": truncated_file,
    "missing metadata": missing_metadata,
    "half-deleted step": half_deleted_step,
    "half-deleted step before the newest": half_deleted_step_before,
}
