"""How far a patient's bleeding has gone: severity in [0, 1] as millimetres, shares and HU."""

from typing import NamedTuple

import numpy as np

from fl_jax.phantom.family import Bleeding


class Grade(NamedTuple):
    """The grade of one patient's bleeding.

    Attributes:
        numbers: of the family.
        severity: 0 subtle to 1 large.
        dilute: whether fresh blood is hyperacute or anaemic, thus faint.
    """

    numbers: Bleeding
    severity: float
    dilute: bool

    @property
    def extent(self) -> float:
        """Position in [0, 1] between the values at severity 0 and 1."""
        return self.severity**self.numbers.growth

    def between(self, pair: tuple[float, float]) -> float:
        """The value at this severity, from those at 0 and at 1."""
        return pair[0] + (pair[1] - pair[0]) * self.extent

    def fresh_hu(self, rng: np.random.Generator) -> float:
        """HU of blood that is hours to days old."""
        n = self.numbers
        if self.dilute:
            return float(rng.uniform(*n.dilute_hu))
        mean = n.clot_hu[0] + (n.clot_hu[1] - n.clot_hu[0]) * self.severity
        return float(np.clip(rng.normal(mean, n.clot_sd), 48.0, 82.0))
