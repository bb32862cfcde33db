"""Packs a patient into arrays whose shapes are equal for all patients, as jit needs."""

import numpy as np

from fl_jax.phantom.patient.parameters import (
    CLOTS,
    CUTS,
    EXTRA,
    PATCHES,
    RODS,
    SHEETS,
    SPOTS,
    SWELLINGS,
    Lesion,
    PatientParams,
)


def pack(patient: PatientParams) -> dict[str, np.ndarray]:
    """Packs a patient for `head.draw_head`.

    Returns:
        float32 scalars (the patient's numbers), `*_waves` [K, 4] in turns per mm and turns, `*_mix` [F, K],
        and padded tables with one row per finding.

    Raises:
        ValueError: a lesion's form is unknown, or findings of one kind exceed their slots.
    """
    rng = np.random.default_rng(patient.seed)
    n = patient.numbers
    m: dict[str, np.ndarray] = {k: np.asarray(v, np.float32) for k, v in n.items()}
    m |= {f"size_{a}": np.asarray(s, np.float32) for a, s in zip("xyz", patient.size, strict=True)}
    long, short = waves(rng, 9, 95.0, 240.0), waves(rng, 3, 35.0, 70.0)
    m["warp_waves"] = np.concatenate([long, short])
    weights = [mix(rng, 3, 9), mix(rng, 3, 3) * np.float32(n["bumps"])]
    m["warp_mix"] = np.concatenate(weights, axis=1) * np.float32(n["warp"])
    m["brain_waves"] = waves(rng, 16, 28.0, 70.0)
    m["brain_mix"] = mix(rng, 4, 16) * np.asarray([[n["wobble"]]] * 3 + [[1.0]], np.float32)
    m["sulcus_waves"] = waves(rng, 20, n["sulcus_short"], n["sulcus_long"])
    m["sulcus_waves"][:, :3] *= np.asarray([0.8, 1.3, 1.0], np.float32)  # most sulci run across
    m["bone_waves"] = waves(rng, 16, 8.0, 40.0)
    m["bone_mix"] = mix(rng, 3, 16)
    m["cell_waves"] = waves(rng, 10, 8.0, 14.0)
    m["muscle_waves"] = waves(rng, 12, 26.0, 44.0)
    m["rough_waves"] = waves(rng, 14, 14.0, 45.0)
    m["rough_mix"] = mix(rng, 1, 14)
    m["fine_waves"] = waves(rng, 16, 4.0, 16.0)
    m["fine_mix"] = mix(rng, 2, 16)
    return m | pack_lesions(patient) | pack_findings(patient)


def waves(rng: np.random.Generator, count: int, shortest: float, longest: float) -> np.ndarray:
    """float32[count, 4], wave vectors (turns per mm) of wavelengths in [shortest, longest] mm, and phases."""
    k = rng.normal(size=(count, 3))
    k /= np.linalg.norm(k, axis=1, keepdims=True)
    k /= rng.uniform(shortest, longest, size=(count, 1))
    return np.concatenate([k, rng.uniform(size=(count, 1))], axis=1).astype(np.float32)


def mix(rng: np.random.Generator, fields: int, count: int) -> np.ndarray:
    """float32[fields, count], weights for fields of unit variance (a parabola wave has 8/15)."""
    w = rng.normal(size=(fields, count))
    w /= np.linalg.norm(w, axis=1, keepdims=True)
    return (w / np.sqrt(8.0 / 15.0)).astype(np.float32)


def pack_lesions(patient: PatientParams) -> dict[str, np.ndarray]:
    """Tables of the collections of blood."""
    slots = {
        "extra": (EXTRA, 24),
        "sheets": (SHEETS, 9),
        "clots": (CLOTS, 15),
        "patches": (PATCHES, 7),
    }
    rows: dict[str, list[list[float]]] = {name: [] for name in slots}
    m: dict[str, np.ndarray] = {
        "cisterns": np.zeros(5, np.float32),
        "ventricles": np.zeros(4, np.float32),
        "cistern_hu": np.asarray(55.0, np.float32),
        "ventricle_hu": np.asarray(60.0, np.float32),
    }
    for lesion in patient.lesions:
        name, row = _row(lesion, patient.seed)
        if name in rows:
            rows[name].append(row)
        else:
            m[name] = np.maximum(m[name], np.asarray(row, np.float32))
        if lesion.kind == "subarachnoid":
            m["cistern_hu"] = np.asarray(lesion.hu, np.float32)
        if lesion.kind == "intraventricular":
            m["ventricle_hu"] = np.asarray(lesion.hu, np.float32)
    for name, (count, width) in slots.items():
        m |= table(name, rows[name], count, width)
    return m


def pack_findings(patient: PatientParams) -> dict[str, np.ndarray]:
    """Tables of the findings that are not blood."""
    rng = np.random.default_rng([patient.seed, 1])
    spots = []
    for s in patient.spots:
        turn = rng.uniform(-0.5, 0.5) if s.rough > 0 else 0.0
        look = (s.hu, s.soft, s.cover, s.edema, s.mass, s.rough, float(s.anywhere))
        spots.append([*s.centre, *s.radii, np.cos(turn), np.sin(turn), *look])
    forms = {"hole": 0.0, "flap": 1.0, "fracture": 2.0}
    cuts = [[*c.centre, c.radius, forms[c.form], *c.normal, c.width] for c in patient.cuts]
    swellings = [[*s.centre, *s.radii, s.height, s.hu] for s in patient.swellings]
    rods = [[*r.a, *r.b, r.radius, r.hu, float(r.metal)] for r in patient.rods]
    m = table("spots", spots, SPOTS, 15) | table("swellings", swellings, SWELLINGS, 8)
    return m | table("cuts", cuts, CUTS, 9) | table("rods", rods, RODS, 9)


def table(name: str, rows: list[list[float]], count: int, width: int) -> dict[str, np.ndarray]:
    """`name` float32[count, width], padded with ones, and `name_count` int32."""
    if len(rows) > count:
        raise ValueError(f"{name}: {len(rows)} of them, but only {count} slots; pass fewer")
    filled = np.ones((count, width), np.float32)
    for i, row in enumerate(rows):
        filled[i] = row
    return {name: filled, f"{name}_count": np.asarray(len(rows), np.int32)}


def _row(lesion: Lesion, seed: int) -> tuple[str, list[float]]:
    """Table and row of one lesion, in the order that `hemorrhage` reads."""
    c, r = lesion.centre, lesion.radii
    if lesion.form in ("lens", "convexity"):
        return "extra", extra_row(lesion)
    if lesion.form in ("falx", "tentorium"):
        side = float(np.sign(c[0]) or 1.0)
        return "sheets", [float(lesion.form == "tentorium"), side, *c, r[0], r[1], r[2], lesion.hu]
    if lesion.form == "blob":
        turn = np.random.default_rng([seed, int(abs(c[0]) * 100)]).uniform(-0.6, 0.6)
        look = (lesion.hu, lesion.hu_low, lesion.mix, lesion.edema, lesion.mass, lesion.rough, 1.0)
        return "clots", [*c, *r, float(np.cos(turn)), float(np.sin(turn)), *look]
    if lesion.form == "sulcal":
        return "patches", [*c, *r, lesion.amounts[0]]
    if lesion.form in ("cistern", "layer"):
        return {"cistern": "cisterns", "layer": "ventricles"}[lesion.form], list(lesion.amounts)
    raise ValueError(
        f"form={lesion.form!r}; choose lens, convexity, falx, tentorium, blob, sulcal, cistern or layer"
    )


def extra_row(lesion: Lesion) -> list[float]:
    """A collection on the skull: direction, tangents, extents (radians), thickness, form, densities."""
    u = np.asarray(lesion.centre, float)
    u /= np.linalg.norm(u)
    along = np.cross([0.0, 0.0, 1.0], u)
    along /= np.linalg.norm(along)
    up = np.cross(u, along)
    point = u * np.array([69.5, 89.0, 66.0]) + np.array([0.0, -18.0, 5.0])
    return [
        *u,
        *along,
        *up,
        lesion.radii[0] / 80.0,
        lesion.radii[1] / 70.0,
        lesion.radii[2],
        float(lesion.form == "convexity"),
        *lesion.limits,
        lesion.hu,
        lesion.mix,
        lesion.mass,
        float(np.sign(u[0]) or 1.0),
        lesion.rough,
        *point,
        lesion.hu_low,
    ]
