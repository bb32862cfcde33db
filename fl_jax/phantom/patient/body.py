"""Samples healthy anatomy: named numbers for a patient of a given age and sex.

Atrophy grows with age (about 0.5 % of brain volume per year after 60: Hedman et al., Hum Brain Mapp
2012;33:1987-2002); ventricles, sulci and fissures widen with it. Sizes, shapes, bone, air cells and blood
density vary at random.
"""

import numpy as np

from fl_jax.phantom.family import Family
from fl_jax.phantom.patient.parameters import Triple, triple


def sample_body(
    rng: np.random.Generator, family: Family, *, age: float, sex: str
) -> tuple[dict[str, float], Triple]:
    """Samples a body: numbers by name (mm, HU or relative) and the scale of the head along x, y, z.

    `age` is in years, `sex` "F" or "M".
    """
    n = rng.normal
    base = {"M": 0.955, "F": 0.915}[sex] * (
        1.0 - 0.12 * float(np.clip((12.0 - age) / 12.0, 0.0, 1.0))
    )
    scale = base * (1.0 + 0.025 * n())
    long = 0.035 * n()
    size = (scale * (1.0 - 0.6 * long), scale * (1.0 + 0.7 * long), scale * (1.0 + 0.02 * n()))
    atrophy = (
        float(np.clip((age - 35.0) / 50.0 + 0.28 * n(), 0.0, 1.6)) if age > 18 else 0.05 * abs(n())
    )
    central = float(np.clip(atrophy + 0.25 * n(), 0.0, 1.7))
    grey = 38.2 + 1.2 * n()
    swollen = float(rng.uniform(3.0, 9.0)) if rng.random() < 0.03 else 0.0  # hydrocephalus
    numbers = {
        "egg": 1.0 + 0.5 * n(),
        "square": float(np.clip(0.26 + 0.09 * n(), 0.02, 0.42)),
        "warp": 1.35 + 0.4 * abs(n()),
        "wobble": 0.8 + 0.3 * abs(n()),
        "skull": float(np.clip((6.3 + 1.1 * n()) * min(1.0, 0.4 + age / 30.0), 3.0, 12.0)),
        "hu_table": 1620.0 + 130.0 * n(),
        "hu_diploe": 620.0 + 140.0 * n(),
        "suture": float(rng.uniform(0.3, 1.0)) if age < 50 else float(rng.uniform(0.0, 0.5)),
        "scalp": float(np.clip(6.0 + 1.6 * n(), 3.5, 11.0)),
        "temporalis": float(np.clip(11.0 + 3.0 * n() - 3.0 * atrophy, 3.0, 18.0)),
        "fatness": float(np.clip(0.5 + 0.3 * n(), 0.05, 1.3)),
        "atrophy": atrophy,
        "gap": 1.0 + 2.2 * atrophy + 0.3 * abs(n()),
        "sulcus": 0.32 + 1.15 * atrophy + 0.12 * abs(n()),
        "sulcus_depth": 12.5 + 2.0 * n(),
        "sylvian": 0.7 + 1.9 * atrophy + 0.4 * abs(n()),
        "fissure": 0.8 + 1.0 * atrophy + 0.2 * abs(n()),
        "cistern": 0.92 + 0.14 * atrophy + 0.05 * n(),
        "ambient": 1.6 + 1.3 * atrophy + 0.3 * n(),
        "vent": 0.2 + 2.9 * central + 0.7 * n() + swollen,
        "vent_tilt": 0.45 * n(),
        "occipital": float(rng.uniform(-0.5, 2.5)),
        "third": float(np.clip(1.1 + 1.9 * central + 0.3 * n() + 0.3 * swollen, 0.7, 6.0)),
        "cortex": 4.0 + 0.3 * n(),
        "grey": grey,
        "white": grey - 9.0 + 0.8 * n() - 0.8 * atrophy,
        "csf": 6.0 + 1.5 * n(),
        "blood_pool": float(np.clip(50.0 - 0.08 * (age - 50) + 4.5 * n(), 38.0, 68.0)),
        "hu_dura": 52.0 + 4.0 * n(),
        "falx": 0.75 + 0.15 * abs(n()),
        "sinus": 4.0 + 0.7 * n(),
        "globe_y": 61.0 + 2.5 * n(),
        "septum": 1.5 * n(),
        "sphenoid_wall": float(rng.uniform(-1.0, 3.5)),
        "frontal_wall": float(rng.choice([0.0, 1.0, 2.5, 8.0])),
        "frontal_y": 0.0,
        "mastoid_wall": float(rng.choice([0.0, 0.5, 2.0, 6.0])),
        "mastoid_hu": float(rng.choice([-900.0, -850.0, -700.0, 20.0], p=[0.5, 0.3, 0.13, 0.07])),
        "mucosa": float(rng.gamma(1.2, 1.0)),
        "sinus_fluid": float(rng.uniform(30.0, 45.0)) if rng.random() < 0.06 else -200.0,
    }
    return {k: float(v) for k, v in numbers.items()}, triple(size)
