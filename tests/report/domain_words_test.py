"""A study outside the training scans' range is warned of in words, with both numbers."""

import math

from fl_jax.data.domain import Domain
from fl_jax.report import domain_words

RANGES = {
    "brain": (25.0, 36.2),
    "noise": (2.1, 4.8),
    "spacing": (0.4, 0.5),
    "field": (200.0, 250.0),
    "width": (115.0, 150.0),
    "length": (150.0, 185.0),
    "thickness": None,
    "slices": (20.0, 40.0),
}
STUDY = Domain(36.4, 7.93, 0.45, 230, math.nan, 160, 5, 40)


def test_only_what_lies_outside_is_warned_of():
    assert domain_words.warnings(STUDY, RANGES) == ["noise 7.9 HU; training scans had 2.1 to 4.8"]
    low = STUDY._replace(noise=3, slices=12, brain=24)
    assert domain_words.warnings(low, RANGES) == [
        "brain's median 24 HU; training scans had 25 to 36",
        "number of slices 12; training scans had 20 to 40",
    ]


def test_what_is_unknown_is_neither_inside_nor_outside():
    assert domain_words.unknown(STUDY, RANGES) == ["width inside the skull", "slice thickness"]
    cells = domain_words.cells(STUDY, RANGES)
    assert [cell["outside"] for cell in cells] == [False, True] + 6 * [False]
    assert cells[4]["text"] == "–"
    assert domain_words.range_text("thickness", RANGES) == "unknown"
    assert domain_words.warnings(STUDY, {}) == []
