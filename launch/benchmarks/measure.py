"""Contenders against a floor, interleaved in one process.

A machine that other work slows down also slows the floor, so the reported figure is the ratio of a
contender's time to the mean of the floor's times right before and after it. The floor is a contender too:
its ratio to itself is the noise.
"""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax

Work = Callable[[], Any]
"""One repetition of what is measured; returns arrays to block on."""
HOPELESS = 3.0
"""A contender this many times slower than the floor is measured once."""
_NOISE = "floor again"


class Measured(NamedTuple):
    """Times of one contender; seconds and ratios are medians over the repetitions.

    Attributes:
        seconds: wall time of one piece of work.
        ratio: to the floor's, before and after it.
        spread: the smallest and the largest ratio.
        processor: ratio of processor time, which other work on the machine disturbs less.
        compile_seconds: wall time of the first call less `seconds`: tracing and compiling.
        temporary_bytes: largest temporary memory of one of its compiled programs.
        repetitions: how many there were.
    """

    seconds: float
    ratio: float
    spread: tuple[float, float]
    processor: float
    compile_seconds: float
    temporary_bytes: int
    repetitions: int


def compare(
    floor: Work, contenders: Mapping[str, Work], repetitions: int, *, hopeless: float = HOPELESS
) -> dict[str, Measured]:
    """Measures contenders against a floor.

    Args:
        floor: the reference.
        contenders: by name; each does the same work in another way.
        repetitions: at least 1.
        hopeless: a contender this many times slower than the floor is measured once only.

    Returns:
        Times by name in the same order, after `floor`, whose ratio is to itself.

    Raises:
        ValueError: `repetitions` is less than 1.
    """
    if repetitions < 1:
        raise ValueError(f"repetitions={repetitions}: must be at least 1")
    works = {_NOISE: floor, **contenders}
    first = {name: _first(work) for name, work in works.items()}
    times: dict[str, list[tuple[float, float, float]]] = {name: [] for name in works}
    before = _timed(floor)
    for _ in range(repetitions):
        for name, work in works.items():
            taken = times[name]
            if taken and taken[0][1] > hopeless:
                continue
            wall, processor = _timed(work)
            after = _timed(floor)
            floor_times = [(x + y) / 2 for x, y in zip(before, after, strict=True)]
            taken.append((wall, wall / floor_times[0], processor / max(floor_times[1], 1e-9)))
            before = after
    names = {name: "floor" if name == _NOISE else name for name in works}
    return {names[name]: _summary(taken, *first[name]) for name, taken in times.items()}


def _summary(
    taken: list[tuple[float, float, float]], first_seconds: float, temporary_bytes: int
) -> Measured:
    walls, ratios, processor = zip(*taken, strict=True)
    seconds = statistics.median(walls)
    return Measured(
        seconds,
        statistics.median(ratios),
        (min(ratios), max(ratios)),
        statistics.median(processor),
        max(first_seconds - seconds, 0.0),
        temporary_bytes,
        len(taken),
    )


def _first(work: Work) -> tuple[float, int]:
    """Seconds of the first call, and the temporary memory of the programs that it compiled."""
    backend = jax.devices()[0].client
    before = backend.live_executables()  # kept, so that no identity is used twice
    known = {id(program) for program in before}
    seconds, _ = _timed(work)
    stats = [
        program.get_compiled_memory_stats()
        for program in backend.live_executables()
        if id(program) not in known
    ]
    return seconds, max((s.temp_size_in_bytes for s in stats), default=0)


def _timed(work: Work) -> tuple[float, float]:
    wall, processor = time.perf_counter(), time.process_time()
    jax.block_until_ready(work())
    return time.perf_counter() - wall, time.process_time() - processor
