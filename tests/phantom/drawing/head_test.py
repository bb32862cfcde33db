"""Tests of the drawn head: reproducible, in place, of the right density, and compiled once."""

import dataclasses
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from fl_jax.core.types import LABELS
from fl_jax.phantom.drawing import head, pack, skull
from fl_jax.phantom.drawing.grid import Drawing, Grid
from fl_jax.phantom.drawing.head import draw_head
from fl_jax.phantom.family import FORMER, STANDARD, Family
from fl_jax.phantom.patient.parameters import Lesion, PatientParams, Rod
from fl_jax.phantom.patient.sampling import sample_patient

KINDS = LABELS[1:]


def grid(step: float = 3.0, shape: tuple[int, int, int] = (52, 64, 56)) -> Grid:
    half = [step * (n - 1) / 2 for n in shape]
    return Grid(
        np.array([-half[2], -half[1], -half[0]], np.float32),
        np.array([0, 0, step], np.float32),
        np.array([0, step, 0], np.float32),
        np.array([step, 0, 0], np.float32),
        shape,
    )


def patient(seed: int = 1, age: float = 70.0, subtypes: tuple[str, ...] = ()) -> PatientParams:
    return sample_patient(np.random.default_rng(seed), age=age, subtypes=subtypes, severity=0.8)


def bled(*lesions: Lesion, age: float = 70.0) -> tuple[Drawing, Drawing, np.ndarray]:
    """The same patient with and without the lesions, and the canonical coordinates of the points."""
    healthy = dataclasses.replace(patient(age=age), spots=(), swellings=(), cuts=(), rods=())
    numbers = {**healthy.numbers, "leuko": 0.0, "occipital": 0.0}
    healthy = dataclasses.replace(healthy, numbers=numbers)
    ill = dataclasses.replace(healthy, lesions=lesions)
    points = jnp.asarray(grid().points())
    c = np.stack(skull.canonical(points, arrays(healthy))).reshape(3, *grid().shape)
    return draw_head(ill, grid()), draw_head(healthy, grid()), c


def arrays(p: PatientParams) -> dict[str, jax.Array]:
    return {name: jnp.asarray(value) for name, value in pack.pack(p).items()}


def of(d: Drawing, kind: str) -> np.ndarray:
    return d.lesions[KINDS.index(kind)] > 0


def depth(c: np.ndarray) -> np.ndarray:
    x, y, z = (jnp.asarray(a) for a in c)
    return -np.asarray(skull.convexity((x, y, z), arrays(patient(age=70.0))))


def only(d: Drawing, kind: str) -> np.ndarray:
    others = [k for k in KINDS if k != kind]
    assert not any(of(d, k).any() for k in others)
    mask = of(d, kind)
    assert mask.sum() > 20
    assert d.brain[mask].all()
    return mask


def test_same_patient_same_bytes():
    first = sample_patient(np.random.default_rng(3), age=50, subtypes=KINDS, severity=0.5)
    second = sample_patient(np.random.default_rng(3), age=50, subtypes=KINDS, severity=0.5)
    assert first == second
    a, b = draw_head(first, grid()), draw_head(second, grid())
    assert a.hu.tobytes() == b.hu.tobytes()
    assert a.lesions.tobytes() == b.lesions.tobytes()
    other = draw_head(dataclasses.replace(first, seed=first.seed + 1), grid())
    assert a.hu.tobytes() != other.hu.tobytes()


def test_a_part_of_the_grid_is_a_part_of_the_drawing():
    whole = grid()
    part = whole._replace(origin=whole.origin + 10 * whole.step_z, shape=(5, *whole.shape[1:]))
    p = patient(subtypes=("subdural",))
    np.testing.assert_allclose(draw_head(p, part).hu, draw_head(p, whole).hu[10:15], atol=0.05)


@pytest.mark.parametrize("kind", KINDS)
def test_sampled_patients_show_the_subtype(kind: str):
    for seed in range(3):
        d = draw_head(patient(seed, 60.0, (kind,)), grid())
        assert of(d, kind).sum() * 0.027 > 0.3, seed  # ml
        assert np.isfinite(d.hu).all()


def test_no_blood_in_a_normal_patient():
    for seed in range(4):
        d = draw_head(patient(seed, 30.0 + 15 * seed), grid())
        assert not d.lesions.any()
        assert d.lesions.dtype == np.uint8
        assert d.hu.dtype == np.float32
        assert d.hu.min() == pytest.approx(-1000.0)


def test_epidural_blood_is_a_lens_between_skull_and_dura():
    lesion = Lesion(
        "epidural", "lens", (1.0, 0.0, 0.2), (40.0, 35.0, 20.0), hu=66.0, limits=(-60.0, 24.0)
    )
    d, _, c = bled(lesion)
    mask = only(d, "epidural")
    assert (c[0][mask] > 20.0).all()
    assert depth(c)[mask].max() < 22.0
    assert depth(c)[mask].max() > 14.0
    assert c[1][mask].max() < 26.0
    assert 58.0 < np.median(d.hu[mask]) < 74.0


def test_subdural_blood_is_a_crescent_on_one_side():
    lesion = Lesion(
        "subdural", "convexity", (-1.0, 0.0, 0.4), (80.0, 60.0, 12.0), hu=66.0, mass=0.7
    )
    d, _, c = bled(lesion)
    mask = only(d, "subdural")
    assert (c[0][mask] < 3.0).all()
    assert depth(c)[mask].max() < 16.0
    assert np.ptp(c[1][mask]) > 90.0


@pytest.mark.parametrize("form", ["falx", "tentorium"])
def test_subdural_blood_lies_along_falx_and_tentorium(form: str):
    centre = (1.0, -70.0, 30.0) if form == "falx" else (28.0, -62.0, 0.0)
    d, _, c = bled(Lesion("subdural", form, centre, (30.0, 28.0, 6.0), hu=66.0))
    mask = only(d, "subdural")
    assert c[0][mask].min() > -5.0
    assert (np.abs(c[0][mask]) < 10.0).mean() == pytest.approx(
        1.0 if form == "falx" else 0.2, abs=0.2
    )


def test_chronic_subdural_blood_is_dark_and_counts():
    lesion = Lesion("subdural", "convexity", (1.0, 0.0, 0.4), (70.0, 55.0, 14.0), hu=20.0)
    d, _, _ = bled(lesion)
    assert 12.0 < np.median(d.hu[only(d, "subdural")]) < 30.0


def test_subarachnoid_blood_takes_the_place_of_fluid():
    lesion = Lesion("subarachnoid", "cistern", hu=65.0, amounts=(1.0, 1.0, 1.0, 1.0, 1.0))
    d, healthy, c = bled(lesion, age=85.0)
    mask = only(d, "subarachnoid")
    assert np.median(healthy.hu[mask]) < 22.0
    assert (d.hu[mask] - healthy.hu[mask]).mean() > 15.0
    assert np.abs(d.hu - healthy.hu)[~mask & (healthy.hu > 34) & (healthy.hu < 60)].max() < 28.0
    assert c[2][mask].mean() < 15.0


def test_ventricular_blood_settles_behind():
    d, healthy, c = bled(Lesion("intraventricular", "layer", hu=65.0, amounts=(0.3, 0.3, 0.0, 0.0)))
    mask = only(d, "intraventricular")
    assert (healthy.hu[mask] < 24.0).mean() > 0.9
    assert c[1][mask].max() < -35.0
    cast, _, c = bled(Lesion("intraventricular", "layer", hu=65.0, amounts=(1.0, 1.0, 1.0, 1.0)))
    full = of(cast, "intraventricular")
    assert full.sum() > 2 * mask.sum()
    assert c[1][full].max() > 10.0


def test_parenchymal_blood_lies_in_tissue_with_a_dark_rim():
    lesion = Lesion(
        "intraparenchymal", "blob", (34.0, -12.0, 44.0), (13.0, 15.0, 13.0), hu=66.0, edema=8.0
    )
    d, healthy, c = bled(lesion)
    mask = only(d, "intraparenchymal")
    r = np.sqrt(sum((c[i] - lesion.centre[i]) ** 2 for i in range(3)))
    assert r[mask].max() < 26.0
    assert (healthy.hu[mask] > 15.0).mean() > 0.75
    rim = (r > 17.0) & (r < 20.5) & ~mask & d.brain & (healthy.hu < 34.0) & (healthy.hu > 26.0)
    assert (healthy.hu[rim] - d.hu[rim]).mean() > 2.0


@pytest.mark.parametrize(
    "lesion",
    [
        Lesion("subdural", "convexity", (1.0, 0.0, 0.35), (80.0, 60.0, 22.0), mass=0.9),
        Lesion("epidural", "lens", (1.0, -0.1, 0.2), (48.0, 45.0, 32.0), mass=0.95),
        Lesion("intraparenchymal", "blob", (30.0, -5.0, 10.0), (20.0, 26.0, 20.0), mass=0.5),
    ],
)
def test_a_large_lesion_shifts_the_midline(lesion: Lesion):
    d, healthy, c = bled(lesion)

    def ventricles(x: Drawing) -> float:
        box = (np.abs(c[0]) < 26) & (c[1] > -30) & (c[1] < 32) & (c[2] > 3) & (c[2] < 26)
        return float(c[0][box & (x.hu < 14.0) & (x.hu > -5.0)].mean())

    assert ventricles(d) < ventricles(healthy) - 1.5


PROBES = {
    "white": ((26.0, -8.0, 38.0), 2.5, (24.0, 34.0)),
    "lentiform": ((25.0, 0.0, 2.0), 2.5, (33.0, 42.0)),
    "cerebellum": ((30.0, -66.0, -36.0), 4.0, (28.0, 41.0)),
    "ventricle": ((9.0, 4.0, 19.0), 1.5, (0.0, 20.0)),
    "vitreous": ((32.0, 58.0, -36.5), 4.0, (0.0, 22.0)),
    "orbital fat": ((29.0, 42.0, -30.0), 2.0, (-120.0, -40.0)),
    "petrous": ((38.0, -42.0, -40.0), 2.5, (700.0, 2000.0)),
    "air": ((8.0, 43.0, -66.0), 1.5, (-1000.0, -300.0)),
}


@pytest.mark.parametrize("name", PROBES)
def test_density_of_tissues(name: str):
    where, radius, (low, high) = PROBES[name]
    values = []
    for seed in range(3):
        p = dataclasses.replace(patient(seed, 45.0), spots=(), rods=())
        x, y, z = where
        at = np.array([x * p.size[0], -(y + 18.0) * p.size[1], (z - 8.0) * p.size[2]], np.float32)
        g = grid(radius / 2, (5, 5, 5))
        values.append(draw_head(p, g._replace(origin=g.origin + at)).hu.ravel())
    assert low < np.median(np.concatenate(values)) < high


def test_grey_is_denser_than_white_and_bone_is_hard():
    p = patient(2, 40.0)
    assert 5.0 < p.numbers["grey"] - p.numbers["white"] < 12.0
    d = draw_head(p, grid())
    assert 900.0 < np.percentile(d.hu[d.hu > 300.0], 75) < 1900.0
    assert 1.0 < d.brain.mean() / 0.19 < 1.9
    assert (d.hu < -990.0).mean() > 0.25


def test_metal_is_reported():
    rod = Rod((12.0, 6.0, -16.0), (20.0, 9.0, -10.0), 3.0, 3000.0, True)
    p = dataclasses.replace(patient(), rods=(rod,))
    d = draw_head(p, grid())
    assert d.metal is not None
    assert 0 < d.metal.sum() < 60
    assert d.hu[d.metal].min() > 1000.0
    assert draw_head(dataclasses.replace(p, rods=()), grid()).metal is None


def test_nothing_recompiles_for_another_patient_or_grid():
    draw_head(patient(1, 70.0, KINDS), grid())
    kernels = (head._sort, head._vault, head._base, head._brain)
    before = [k._cache_size() for k in kernels]  # type: ignore[attr-defined]
    draw_head(patient(5, 20.0), grid(4.0, (7, 33, 41)))
    draw_head(patient(6, 80.0, ("subdural", "subarachnoid")), grid(5.0, (30, 40, 36)))
    assert [k._cache_size() for k in kernels] == before  # type: ignore[attr-defined]


def test_importing_is_light():
    code = (
        "import sys, fl_jax.phantom.drawing.head;"
        "bad = {'tensorflow', 'matplotlib', 'pydicom'} & set(sys.modules); assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_young_brain_touches_the_inner_table_and_fluid_comes_with_age():
    def under_the_skull(age: float, family: Family) -> float:
        p = sample_patient(np.random.default_rng(3), family, age=age)
        p = dataclasses.replace(p, spots=(), swellings=(), cuts=(), rods=())
        g = grid(1.0, (1, 180, 160))
        g = g._replace(origin=g.origin + np.array([0.0, 0.0, 40.0], np.float32))
        d = draw_head(p, g)
        depth = ndimage.distance_transform_edt(d.brain[0])
        deep = np.median(d.hu[0][depth > 15])
        return float(np.median(d.hu[0][(depth > 1) & (depth <= 3)]) - deep)

    assert under_the_skull(25.0, STANDARD) > 12.0
    assert under_the_skull(85.0, STANDARD) < under_the_skull(25.0, STANDARD) - 4.0
    assert under_the_skull(25.0, FORMER) < 5.0


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("falx", 0.5, 1.5),
        ("sinus", 3.0, 6.0),
        ("transverse", 2.5, 5.0),
        ("torcula", 0.0, 4.0),
        ("artery", 0.0, 1.0),
        ("veins", 0.0, 0.9),
        ("plexus", 0.0, 1.0),
        ("roof", 2.5, 8.0),
    ],
)
def test_more_of_a_bright_structure_makes_the_head_brighter(name: str, low: float, high: float):
    p = dataclasses.replace(patient(age=60.0), spots=(), swellings=(), cuts=(), rods=())
    less, more = (
        draw_head(dataclasses.replace(p, numbers={**p.numbers, name: value}), grid())
        for value in (low, high)
    )
    change = (more.hu - less.hu)[less.brain]
    assert (np.abs(change) > 3.0).sum() > 10
    assert change[np.abs(change) > 3.0].mean() > 2.0
