"""The cohort's sites: five hospitals and a pooled hold-out of patients from none of them.

Hospitals differ in size, prevalence, mix of subtypes, ages, scanners and header dialects. Within a hospital,
age, scanner and dialect are independent of bleeding.
"""

from dataclasses import dataclass

from fl_jax.core.types import LABELS
from fl_jax.data.site_names import HOLDOUT
from fl_jax.phantom.dicom_writer import Dialect
from fl_jax.phantom.scanner.scan import Scanner

EDH, IPH, IVH, SAH, SDH = LABELS[1:]


@dataclass(frozen=True)
class Unit:
    """A scanner and the header dialect of its files.

    Attributes:
        scanner: with its protocol.
        dialect: of pixels and header.
        share: of the hospital's patients.
    """

    scanner: Scanner
    dialect: Dialect
    share: float = 1.0


@dataclass(frozen=True)
class Site:
    """A hospital.

    Attributes:
        name: folder name.
        patients: number at scale 1.
        prevalence: share of patients with bleeding.
        mix: combinations of subtypes and their weights among bleeding patients.
        age: mean, standard deviation, minimum and maximum, years.
        women: share of women.
        units: scanners.
        like: for the hold-out, the sites that contribute patients in equal parts; other fields are unused.
    """

    name: str
    patients: int
    prevalence: float = 0.5
    mix: tuple[tuple[tuple[str, ...], float], ...] = ()
    age: tuple[float, float, float, float] = (55.0, 18.0, 18.0, 95.0)
    women: float = 0.5
    units: tuple[Unit, ...] = ()
    like: tuple["Site", ...] = ()


_SIGNED = Dialect(
    "signed 16 bit, intercept 0, padding -1500", signed=True, intercept="0", padding=-1500
)
_SIGNED_2000 = Dialect(
    "signed 16 bit, intercept -1024.000000, padding -2000",
    signed=True,
    intercept="-1024.000000",
    padding=-2000,
    window=(["00040", "00040"], ["00080", "00080"]),
)
_UNSIGNED = Dialect(
    "unsigned 12 bit, intercept -1024", signed=False, intercept="-1024", explicit=False
)
_WRAPPED = Dialect(
    "12 bit wrapped, intercept 0", signed=False, intercept="0", wrapped=True, window=("30", "80")
)
_BARE = Dialect(
    "unsigned 12 bit, implicit, no thickness",
    signed=False,
    intercept="-1024.000000",
    window=(["36", "80"], ["80", "200"]),
    explicit=False,
    thickness=False,
)
_SIGNED_0_2000 = Dialect(
    "signed 16 bit, intercept 0, padding -2000",
    signed=True,
    intercept="0",
    padding=-2000,
    window=("35", "100"),
)

_STANDARD = Scanner(
    name="DUAL", maker="A", kernel="STND", kilovolts=120, exposure=260, thickness=5.0, increment=10.0,
    field_of_view=(236.0, 250.0), tilt=(8.0, 18.0), blur=0.5, edge=0.0, noise=3.9, grain=0.38,
    streaks=0.35, hardening=0.030, offset=0.0, gain=0.0, holder="plates",
)  # fmt: skip
_THIN = Scanner(
    name="SPIRAL 64", maker="A", kernel="SOFT", kilovolts=120, exposure=320, thickness=1.25, increment=10.0,
    field_of_view=(228.0, 245.0), tilt=(0.0, 0.0), blur=0.75, edge=0.0, noise=6.3, grain=0.28,
    streaks=0.30, hardening=0.022, offset=1.5, gain=0.0, holder="cup", iterative=0.3,
)  # fmt: skip
_TRAUMA = Scanner(
    name="FAST 16", maker="B", kernel="H31s", kilovolts=120, exposure=230, thickness=6.0, increment=9.0,
    field_of_view=(228.0, 248.0), tilt=(0.0, 6.0), blur=0.55, edge=0.15, noise=5.2, grain=0.38,
    streaks=0.45, hardening=0.034, offset=-2.0, gain=0.0, holder="cup",
)  # fmt: skip
_STROKE = Scanner(
    name="NEURO 128", maker="B", kernel="H40s", kilovolts=120, exposure=380, thickness=4.0, increment=9.5,
    field_of_view=(224.0, 236.0), tilt=(0.0, 12.0), blur=0.5, edge=0.35, noise=4.6, grain=0.44,
    streaks=0.30, hardening=0.018, offset=2.5, gain=0.004, holder="cup", iterative=0.7,
)  # fmt: skip
_OLD = Scanner(
    name="CLASSIC", maker="C", kernel="FC21", kilovolts=135, exposure=200, thickness=7.0, increment=10.5,
    field_of_view=(238.0, 250.0), tilt=(10.0, 22.0), blur=0.85, edge=0.0, noise=3.3, grain=0.30,
    streaks=0.50, hardening=0.045, offset=-2.5, gain=-0.004, holder="table",
)  # fmt: skip
_SMALL = Scanner(
    name="COMPACT", maker="D", kernel="UB", kilovolts=120, exposure=180, thickness=2.5, increment=9.0,
    field_of_view=(224.0, 242.0), tilt=(0.0, 0.0), blur=0.6, edge=0.20, noise=7.2, grain=0.36,
    streaks=0.45, hardening=0.030, offset=4.0, gain=0.0, holder="table",
)  # fmt: skip

_HOSPITALS = (
    Site(
        "university", 112, 0.55,
        (((SAH,), 4), ((SAH, IVH), 3), ((SAH, IPH, IVH), 1.5), ((IPH,), 2), ((SDH,), 2.5),
         ((IPH, IVH), 1.2), ((EDH,), 3.2), ((IVH,), 1.2), ((SDH, SAH), 1)),
        (56.0, 15.0, 20.0, 90.0), 0.56, units=(Unit(_STANDARD, _SIGNED, 0.6), Unit(_THIN, _SIGNED_2000, 0.4)),
    ),
    Site(
        "trauma", 96, 0.60,
        (((SDH,), 2.5), ((EDH,), 5.5), ((SDH, SAH), 2.5), ((SAH,), 2), ((EDH, SDH), 1.5), ((IPH,), 1),
         ((IPH, SAH), 2), ((IPH, SDH, SAH), 2), ((EDH, SAH), 1), ((SAH, IVH), 0.8)),
        (41.0, 17.0, 18.0, 88.0), 0.33, units=(Unit(_TRAUMA, _UNSIGNED),),
    ),
    Site(
        "stroke", 78, 0.56,
        (((IPH,), 5), ((IPH, IVH), 5), ((IVH,), 1.5), ((SAH,), 1), ((IPH, SAH), 0.8), ((SDH,), 0.8)),
        (68.0, 12.0, 35.0, 95.0), 0.47, units=(Unit(_STROKE, _WRAPPED),),
    ),
    Site(
        "geriatric", 60, 0.57,
        (((SDH,), 6), ((IPH,), 1.8), ((SDH, SAH), 1.2), ((IPH, IVH), 1), ((SAH,), 0.8)),
        (79.0, 8.0, 60.0, 98.0), 0.58, units=(Unit(_OLD, _SIGNED_0_2000),),
    ),
    Site(
        "county", 52, 0.56,
        (((SDH,), 2), ((SAH,), 1.5), ((IPH, IVH), 1.4), ((EDH,), 2), ((IPH,), 1)),
        (60.0, 19.0, 18.0, 95.0), 0.5, units=(Unit(_SMALL, _BARE, 0.7), Unit(_THIN, _WRAPPED, 0.3)),
    ),
)  # fmt: skip

SITES = (*_HOSPITALS, Site(HOLDOUT, 70, like=_HOSPITALS))
"""The cohort: five hospitals, then the hold-out."""
