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
    surface, bright, head, density = family.surface, family.bright, family.size, family.density
    child = float(np.clip((12.0 - age) / 12.0, 0.0, 1.0))
    scale = head.scale[sex == "F"] * (1.0 - 0.12 * child) * (1.0 + 0.025 * n())
    long = n(*head.long)
    size = scale * np.array(head.shape)
    size *= [1.0 - 0.6 * long, 1.0 + 0.7 * long, 1.0 + 0.02 * n()]
    atrophy = (
        float(np.clip((age - 35.0) / 50.0 + 0.28 * n(), 0.0, 1.6)) if age > 18 else 0.05 * abs(n())
    )
    central = float(np.clip(atrophy + 0.25 * n(), 0.0, 1.7))
    grey = n(*density.grey) + density.young * float(np.clip((70.0 - age) / 50.0, -0.4, 1.0))
    fluid = surface.fluid[0] + surface.fluid[1] * max(atrophy - surface.onset, 0.0)
    fluid += 0.3 * abs(n())
    old = float(np.clip((age - 30.0) / 50.0, 0.0, 1.3))
    swollen = float(rng.uniform(3.0, 9.0)) if rng.random() < 0.03 else 0.0  # hydrocephalus
    numbers = {
        "egg": n(*head.egg),
        "square": float(np.clip(n(*head.square), 0.02, 0.42)),
        "warp": head.warp[0] + head.warp[1] * abs(n()),
        "bumps": head.bumps,
        "wobble": 0.8 + 0.3 * abs(n()),
        "skull": float(np.clip(n(*head.skull) * min(1.0, 0.4 + age / 30.0), 3.0, 12.0)),
        "hu_table": 1620.0 + 130.0 * n(),
        "hu_diploe": 620.0 + 140.0 * n(),
        "suture": float(rng.uniform(0.3, 1.0)) if age < 50 else float(rng.uniform(0.0, 0.5)),
        "scalp": float(np.clip(n(*head.scalp), 3.5, 12.0)),
        "temporalis": float(np.clip(n(*head.temporalis) - 3.0 * atrophy, 3.0, 19.0)),
        "muscle": float(np.clip(n(*bright.muscle), 40.0, 72.0)),
        "fatness": float(np.clip(0.5 + 0.3 * n(), 0.05, 1.3)),
        "atrophy": atrophy,
        "touch": surface.touch,
        "gap": fluid,
        "gap_frontal": surface.frontal,
        "gap_patchy": surface.patchy,
        "gap_low": surface.touch + surface.posterior + 0.5 * fluid,
        "gap_tent": surface.tent[0] + surface.tent[1] * fluid,
        "sulcus": surface.sulcus[0] + surface.sulcus[1] * atrophy + 0.12 * abs(n()),
        "sulcus_short": surface.spacing[0],
        "sulcus_long": surface.spacing[1],
        "glow": surface.glow,
        "glow_reach": rng.uniform(*surface.reach),
        "sulcus_depth": 12.5 + 2.0 * n(),
        "sylvian": surface.sylvian[0] + surface.sylvian[1] * atrophy + 0.4 * abs(n()),
        "fissure": surface.fissure[0] + surface.fissure[1] * atrophy + 0.2 * abs(n()),
        "cistern": 0.92 + 0.14 * atrophy + 0.05 * n(),
        "ambient": 1.6 + 1.3 * atrophy + 0.3 * n(),
        "vent": 0.2 + 2.9 * central + 0.7 * n() + swollen,
        "vent_tilt": 0.45 * n(),
        "occipital": float(rng.uniform(-0.5, 2.5)),
        "third": float(np.clip(1.1 + 1.9 * central + 0.3 * n() + 0.3 * swollen, 0.7, 6.0)),
        "cortex": 4.0 + 0.3 * n(),
        "grey": grey,
        "white": grey - float(np.clip(n(*density.contrast), 4.0, 12.0)) - 0.8 * atrophy,
        "csf": max(n(*density.csf), 1.0),
        "blood_pool": float(np.clip(n(*bright.blood) - 0.08 * (age - 50), 38.0, 70.0)),
        "hu_dura": n(*bright.dura),
        "falx": bright.falx[0] + bright.falx[1] * old + bright.falx[2] * abs(n()),
        "sinus": n(*bright.sinus),
        "transverse": n(*bright.transverse),
        "transverse_skew": float(np.clip(bright.skew * n(), -0.8, 0.8)),
        "torcula": bright.torcula,
        "artery": bright.artery[0] + bright.artery[1] * old,
        "veins": bright.veins * float(rng.uniform(0.3, 1.0)),
        "vein_phase": float(rng.random()),
        "plexus": bright.plexus,
        "roof": n(*bright.roof),
        "ripple": bright.ripple,
        "ripple_phase": float(rng.random()),
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
