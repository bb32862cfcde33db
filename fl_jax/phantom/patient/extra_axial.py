"""Which blood lies outside the brain: typical places, shapes, ages and companions.

Epidural: temporal or parietal, by a fracture, not across sutures. Subdural: over a hemisphere,
along falx or tentorium, older when the patient is. Subarachnoid: aneurysm (basal cisterns) or
injury (sulci). (Osborn's Brain, 2nd ed., ch. 2-6.)
"""

import numpy as np

from fl_jax.phantom.patient import intra_axial
from fl_jax.phantom.patient.parameters import Lesion, Triple

Rng = np.random.Generator


def sample_lesions(
    rng: Rng, *, age: float, subtypes: tuple[str, ...], severity: float
) -> tuple[tuple[Lesion, ...], bool]:
    """Blood of the wanted subtypes.

    Args:
        rng: source of all randomness.
        age: years.
        subtypes: subset of `types.LABELS[1:]`.
        severity: 0 subtle to 1 large.

    Returns:
        The lesions, and whether they come from an injury.
    """
    wanted = set(subtypes)
    injury = bool(wanted & {"epidural", "subdural"}) or (
        "subarachnoid" in wanted and rng.random() < (0.75 if "intraparenchymal" in wanted else 0.5)
    )
    side = float(rng.choice([-1.0, 1.0]))
    found: list[Lesion] = []
    if "epidural" in wanted:
        found += epidural(rng, side, severity)
    if "subdural" in wanted:
        found += subdural(rng, -side if "epidural" in wanted else side, severity, age)
    if "subarachnoid" in wanted:
        found += subarachnoid(rng, -side, severity, injury)
    deep = "intraventricular" in wanted and not injury
    if "intraparenchymal" in wanted:
        found += intra_axial.parenchymal(rng, side, severity, age, injury, deep)
    if "intraventricular" in wanted:
        found += intra_axial.ventricular(rng, side, severity)
    return tuple(found), injury


def _direction(
    rng: Rng, side: float, azimuth: tuple[float, float], rise: tuple[float, float]
) -> Triple:
    """Unit direction; azimuth 0 front, 90 side, 180 back, and rise above the horizontal, degrees."""
    a, r = np.deg2rad(rng.uniform(*azimuth)), np.deg2rad(rng.uniform(*rise))
    return (float(side * np.sin(a) * np.cos(r)), float(np.cos(a) * np.cos(r)), float(np.sin(r)))


def epidural(rng: Rng, side: float, severity: float) -> list[Lesion]:
    """A lens under one bone."""
    thick = (5.0 + 24.0 * severity) * rng.uniform(0.8, 1.2)
    wide = float(np.clip(thick * rng.uniform(1.4, 2.0) + 10.0, 16.0, 48.0))
    place = rng.choice(["temporal", "parietal", "frontal", "occipital"], p=[0.5, 0.25, 0.17, 0.08])
    azimuth, rise, limits = {
        "temporal": ((70, 105), (-22, 10), (-64.0, 24.0)),
        "parietal": ((95, 130), (20, 50), (-78.0, 14.0)),
        "frontal": ((25, 60), (0, 40), (10.0, 200.0)),
        "occipital": ((140, 165), (-25, 0), (-200.0, -56.0)),
    }[str(place)]
    centre = _direction(rng, side, azimuth, rise)
    y = centre[1] * 89.0 - 18.0
    wide = min(wide, max(min(y - limits[0], limits[1] - y) + 14.0, 20.0))
    fresh = rng.random()
    return [
        Lesion(
            "epidural",
            "lens",
            centre,
            (wide, wide * rng.uniform(0.75, 1.0), thick),
            hu=intra_axial.fresh_hu(rng),
            hu_low=float(rng.uniform(38, 52)),
            mix=0.25 if fresh < 0.25 else 0.0,
            mass=rng.uniform(0.75, 0.95),
            rough=0.3,
            limits=limits,
        )
    ]


def subdural(rng: Rng, side: float, severity: float, age: float) -> list[Lesion]:
    """A crescent over the convexity, or blood along falx or tentorium, or both."""
    old = rng.random() < np.clip((age - 40.0) / 90.0, 0.03, 0.4)
    hu, low, mix = intra_axial.fresh_hu(rng), float(rng.uniform(14, 30)), 0.0
    if old:
        kind = rng.choice(["subacute", "chronic", "mixed"], p=[0.3, 0.3, 0.4])
        hu = {"subacute": rng.uniform(34, 46), "chronic": rng.uniform(16, 28), "mixed": hu}[
            str(kind)
        ]
        mix = float(rng.uniform(0.35, 0.65)) if kind == "mixed" else 0.0
    found = []
    sheet_only = rng.random() < 0.06
    if not sheet_only:
        thick = (1.8 + 16.5 * severity) * rng.uniform(0.75, 1.25)
        spread = 0.6 + 0.4 * min(1.0, 2.0 * severity)
        radii = (spread * rng.uniform(45, 88), spread * rng.uniform(38, 66), thick)
        found.append(
            Lesion(
                "subdural",
                "convexity",
                _direction(rng, side, (60, 115), (8, 38)),
                radii,
                hu=float(hu),
                hu_low=low,
                mix=mix,
                mass=float(rng.uniform(0.55, 0.85)),
                rough=0.6,
            )
        )
        if old and rng.random() < 0.25:
            other = (rng.uniform(48, 80), rng.uniform(38, 60), thick * rng.uniform(0.4, 0.9))
            found.append(
                Lesion(
                    "subdural",
                    "convexity",
                    _direction(rng, -side, (60, 110), (10, 35)),
                    other,
                    hu=float(hu),
                    hu_low=low,
                    mix=mix,
                    mass=0.6,
                    rough=0.6,
                )
            )
    if sheet_only or rng.random() < 0.2:
        behind = rng.random() < 0.65
        centre = (
            (side, rng.uniform(-80, -50), rng.uniform(15, 45))
            if behind
            else (side, rng.uniform(30, 55), rng.uniform(15, 40))
        )
        found.append(
            Lesion(
                "subdural",
                "falx",
                centre,
                (rng.uniform(22, 42), rng.uniform(18, 32), rng.uniform(2.0, 3.0 + 4.0 * severity)),
                hu=intra_axial.fresh_hu(rng),
            )
        )
    if rng.random() < (0.5 if sheet_only else 0.12):
        centre = (side * rng.uniform(20, 34), rng.uniform(-75, -50), 0.0)
        found.append(
            Lesion(
                "subdural",
                "tentorium",
                centre,
                (rng.uniform(16, 28), rng.uniform(18, 30), rng.uniform(2.5, 3.5 + 3.0 * severity)),
                hu=intra_axial.fresh_hu(rng),
            )
        )
    return found


def subarachnoid(rng: Rng, side: float, severity: float, injury: bool) -> list[Lesion]:
    """Blood in sulci (injury) or in the basal cisterns and fissures (aneurysm)."""
    hu = float(rng.uniform(58, 70) + 8 * severity)
    found = []
    if injury:
        for _ in range(int(rng.integers(2, 4 + round(severity)))):
            lean = side if rng.random() < 0.7 else -side
            d = _direction(rng, lean, (25, 150), (-12, 75))
            centre = (d[0] * 58.0, d[1] * 76.0 - 18.0, d[2] * 62.0 + 2.0)
            r = (10.0 + 16.0 * severity) * rng.uniform(0.8, 1.3)
            found.append(
                Lesion(
                    "subarachnoid",
                    "sulcal",
                    centre,
                    (r, r * rng.uniform(1.0, 1.6), r),
                    hu=hu,
                    amounts=(float(np.clip(0.7 + 0.5 * severity * rng.random(), 0, 1)),),
                )
            )
        amounts = [0.0] * 5
        if rng.random() < 0.35:
            amounts[1 if side < 0 else 2] = 0.5 + 0.4 * severity
        if rng.random() < 0.25:
            amounts[4] = 0.6 + 0.4 * severity
        found.append(Lesion("subarachnoid", "cistern", hu=hu, amounts=tuple(amounts)))
        return found
    base = 0.8 + 0.2 * severity
    lean = rng.uniform(0.6, 1.0, size=5)
    lean[rng.integers(0, 4)] = 1.0
    if rng.random() < 0.15:
        lean[:4] *= 0.1
        lean[4], lean[0] = 1.0, 0.6
    found.append(
        Lesion("subarachnoid", "cistern", hu=hu, amounts=tuple(float(v * base) for v in lean))
    )
    if severity > 0.4 and rng.random() < 0.7:
        centre = (side * 45.0, 10.0, 5.0)
        found.append(
            Lesion(
                "subarachnoid",
                "sulcal",
                centre,
                (25.0, 40.0, 30.0),
                hu=hu,
                amounts=(float(0.8 * base),),
            )
        )
    return found
