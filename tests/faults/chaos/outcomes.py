"""What a training or a study leaves, but for the times: equal where every number and figure is."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from fl_jax.experiment.checkpoint import Store
from fl_jax.files.locks import LOCKS

Outcome = dict[str, Any]
TIMES = (
    *("seconds", "images_per_second", "wall_seconds", "stages", "started"),
    *("cpu_seconds", "command", "git", "jobs"),
)
"""Fields that say when, how fast and by which command something was done, in any file."""
_SHOWN = re.compile(
    rb"python -m [^`<]*|[Cc]ommit:? [0-9a-f]+(-dirty)?|"
    rb"<tr><th>(started|git|training)</th><td>.*?</td></tr>|<code>jobs</code></th><td>.*?</td>|"
    rb'<td class="n">[^<]*</td><td class="n">[\d.]+ (s|min|h)[^<]*</td></tr>'  # images/s and time
)
"""The same on the page and in the documents."""


def outcome(workdir: Path) -> Outcome:
    """Reads all that a run has left.

    Returns:
        By file what it holds, or its SHA-256; by checkpoint its facts with the digests of its arrays.
    """
    found = files(workdir)
    for path in sorted(workdir.glob("models/*/checkpoints")):
        store = Store(path, read_only=True)
        for number in store.steps():
            found[f"{path.relative_to(workdir)}/{number}"] = _step(store, number)
    return found


def files(workdir: Path) -> Outcome:
    """The same without the checkpoints."""
    found: Outcome = {}
    for path in sorted(workdir.rglob("*")):
        inside = path.relative_to(workdir)
        apart = {
            LOCKS,
            "tensorboard",
            "checkpoints",
        }  # TensorBoard's hold the time of each value
        if path.is_file() and not apart & {*inside.parts}:
            found[str(inside)] = _content(path)
    return found


def differences(found: Outcome, wanted: Outcome) -> list[str]:
    """The files and checkpoints that are not as wanted, missing or too many."""
    return sorted(n for n in found.keys() | wanted.keys() if found.get(n) != wanted.get(n))


def without_times(value: Any) -> Any:
    """A JSON value without `TIMES`, at any depth."""
    if isinstance(value, dict):
        return {k: without_times(v) for k, v in value.items() if k not in TIMES}
    return [without_times(v) for v in value] if isinstance(value, list) else value


def _step(store: Store, number: int) -> Any:
    try:
        facts = without_times(store.read(number)[1])
    except Exception as error:  # whatever a damaged file makes Orbax raise
        return f"damaged: {error!r}"
    return {k: v for k, v in facts.items() if k != "facts_digest"}  # which is of the times too


def _content(path: Path) -> Any:
    content = path.read_bytes()
    if path.name == "metrics.jsonl":  # of one that was killed the last line may be cut off
        lines = content.splitlines(keepends=True)
        return [without_times(json.loads(x)) if x.endswith(b"\n") else "cut off" for x in lines]
    if path.suffix == ".json":
        return without_times(json.loads(content))
    if path.suffix in (".html", ".md"):
        content = _SHOWN.sub(b"", content)
    return hashlib.sha256(content).hexdigest()
