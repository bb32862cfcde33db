"""Families of phantoms: the ranges from which anatomy, bleeding and scans are drawn.

A family is a set of numbers for the same drawing code. `STANDARD` is the demo's. `FORMER` keeps the numbers
of the cohort before it was compared with real heads, so that each group of changes can be tested alone.
`SHIFTED` differs from `STANDARD` in anatomy, bleeding and scanners, and is held out from training: it stands
in for a hospital that no model has seen.

    parse("standard")    parse("former, bleeding=standard")    parse("standard, pose=former, noise=shifted")
"""

import dataclasses
from dataclasses import dataclass


@dataclass(frozen=True)
class Surface:
    """Where the brain ends: subarachnoid space over the convexity, sulci, partial volume at the skull.

    Atrophy is about 0 up to 35 years, 0.5 at 60 and 1 at 85.

    Attributes:
        touch: where a brain without fluid over it ends, mm under the inner table; the edge is blurred over
            0.65 mm, so -0.7 lets it touch the bone.
        fluid: fluid over the convexity, mm: without atrophy, and per unit of atrophy above `onset`.
        onset: atrophy from which fluid grows.
        frontal: share by which there is more fluid over the frontal lobes.
        patchy: unevenness of the fluid, standard deviation relative to its mean.
        posterior: fluid over the cerebellum besides half of `fluid`, mm.
        sulcus: half width of the sulci, mm: without atrophy, and per unit of atrophy. At and below 0 they
            are grey, not black.
        tent: fluid on each side of the tentorium, mm, and per mm of `fluid`.
        fissure: half width of the interhemispheric fissure, mm: without atrophy, and per unit of atrophy.
        sylvian: opening of the Sylvian fissures, mm, likewise.
        spacing: shortest and longest wavelength of the folds, mm; sulci are about half of it apart.
        glow: HU that bone adds to the brain right under the inner table by partial volume and point spread.
        reach: range of the depth at which `glow` has fallen to 37 %, mm; kernels and beam hardening differ.
    """

    touch: float = -0.7
    fluid: tuple[float, float] = (0.1, 2.6)
    onset: float = 0.3
    frontal: float = 1.2
    patchy: float = 0.6
    posterior: float = 0.0
    tent: tuple[float, float] = (0.3, 0.25)
    sulcus: tuple[float, float] = (0.05, 0.95)
    fissure: tuple[float, float] = (0.35, 0.9)
    sylvian: tuple[float, float] = (0.4, 1.8)
    spacing: tuple[float, float] = (16.0, 32.0)
    glow: float = 138.0
    reach: tuple[float, float] = (1.0, 1.9)


@dataclass(frozen=True)
class Bright:
    """Normal bright structures; pairs are mean and standard deviation unless they say otherwise.

    Attributes:
        blood: HU of blood in vessels at 50 years; follows the hematocrit.
        dura: HU of falx and tentorium.
        falx: half thickness of falx and tentorium, mm: at 30 years, more of it at 80, and spread.
        sinus: half width of the superior sagittal sinus at the skull, mm.
        transverse: half height of the transverse sinuses, mm.
        skew: standard deviation of how much larger the left transverse sinus is, relative.
        torcula: depth of the confluence of sinuses beyond 5 mm, mm.
        artery: radius that basal arteries have besides 1 to 2 mm, mm: at 30 years, and more of it at 80.
        veins: largest coverage of cortical veins at the mouths of sulci, in [0, 1].
        plexus: coverage of the choroid plexus in the atria of the ventricles, in [0, 1].
        roof: height of the orbital roofs above the floor of the anterior fossa, mm.
        ripple: height of the ridges on the orbital roofs, mm.
        clinoids: share of patients with clinoid processes and a dorsum sellae among the basal cisterns.
        muscle: HU of the temporal muscle.
    """

    blood: tuple[float, float] = (55.0, 5.5)
    dura: tuple[float, float] = (53.0, 5.0)
    falx: tuple[float, float, float] = (0.5, 0.45, 0.3)
    sinus: tuple[float, float] = (4.8, 0.9)
    transverse: tuple[float, float] = (4.0, 0.7)
    skew: float = 0.35
    torcula: float = 4.0
    artery: tuple[float, float] = (0.3, 0.5)
    veins: float = 0.7
    plexus: float = 0.8
    roof: tuple[float, float] = (5.5, 2.0)
    ripple: float = 2.6
    clinoids: float = 1.0
    muscle: tuple[float, float] = (58.0, 5.0)


@dataclass(frozen=True)
class Size:
    """Size and shape of head, skull and scalp; pairs are mean and standard deviation.

    Attributes:
        scale: of men and of women, relative to the template (an inner table of 139 x 178 mm).
        shape: factors on width, length and height.
        long: relative length of the head without change of volume; below 0 it is brachycephalic.
        egg: how much narrower the forehead is than the back.
        square: flatness of sides and forehead, in [0, 0.42].
        warp: least unevenness of all shapes and its spread, mm.
        bumps: unevenness over 35 to 70 mm relative to `warp`: impressions of the inner table.
        skull: thickness of the vault, mm.
        scalp: thickness of the scalp, mm.
        temporalis: thickness of the temporal muscle, mm.
    """

    scale: tuple[float, float] = (0.955, 0.915)
    shape: tuple[float, float, float] = (1.06, 1.0, 0.99)
    long: tuple[float, float] = (0.0, 0.035)
    egg: tuple[float, float] = (1.0, 0.5)
    square: tuple[float, float] = (0.26, 0.09)
    warp: tuple[float, float] = (1.35, 0.4)
    bumps: float = 0.25
    skull: tuple[float, float] = (6.2, 1.1)
    scalp: tuple[float, float] = (6.6, 1.6)
    temporalis: tuple[float, float] = (11.5, 3.5)


@dataclass(frozen=True)
class Density:
    """HU of grey matter, white matter and cerebrospinal fluid; pairs are mean and standard deviation.

    Attributes:
        grey: of grey matter at 70 years.
        young: HU that grey and white matter have more at 20 than at 70 years.
        contrast: of grey less white matter, as drawn; blur takes a quarter of it.
        csf: of cerebrospinal fluid.
    """

    grey: tuple[float, float] = (37.3, 2.3)
    young: float = 2.5
    contrast: tuple[float, float] = (9.5, 2.2)
    csf: tuple[float, float] = (6.5, 1.8)


@dataclass(frozen=True)
class Bleeding:
    """Size, thickness and HU of bleeds.

    A pair named "0 to 1" is the value at severity 0 (subtle) and at severity 1 (large); between them it is
    mixed by `severity ** growth`. Sizes vary by a further 20-30 % from bleed to bleed. In `STANDARD`:

    | severity | subdural, epidural: thickness, mm | contusion: mm across | hematoma: ml | clot, HU |
    |---|---|---|---|---|
    | 0.1 | 4, 11 | 11 | 1 | 61 |
    | 0.5 | 10, 19 | 18 | 10 | 63 |
    | 0.9 | 16, 28 | 24 | 33 | 65 |

    Attributes:
        severity: parameters of the beta distribution of severity over bleeding patients.
        growth: exponent; above 1, large bleeds are rarer.
        clot_hu: mean of clotted blood, HU, 0 to 1.
        clot_sd: its standard deviation between bleeds, HU.
        dilute: share of patients whose fresh blood is hyperacute or anaemic.
        dilute_hu: range of such blood, HU.
        old: share of subdurals that are not acute, at 45 years or less and at 90.
        old_kinds: weights of isodense, chronic and mixed ones.
        old_mm: how much thicker isodense and chronic ones are than fresh ones.
        epidural_mm: thickness, 0 to 1.
        subdural_mm: thickness over the convexity, 0 to 1.
        film_mm: thickness along falx or tentorium, 0 to 1.
        films: share of subdurals along falx or tentorium alone, and of others that have such a film as well.
        sulci_mm: radius of a patch of sulci with blood, 0 to 1.
        sulci: least and largest number of patches after an injury.
        sulci_open_mm: how far blood opens a sulcus to each side, 0 to 1.
        sulci_fill: share of the fluid that blood replaces, 0 to 1.
        cisterns_fill: the same in cisterns and fissures after an aneurysm's rupture, 0 to 1.
        cisterns: share of the five spaces (basal, two Sylvian, fissure, ambient) that it reaches, 0 to 1.
        contusion_mm: radius, 0 to 1.
        hematoma: radius of deep and lobar hemorrhages relative to a typical one, 0 to 1.
        infratentorial: share of them in pons and cerebellum.
        ends: share of other bleeds near the skull base or the vertex, so that no level is free of blood.
        ventricle_fill: share of the lateral ventricles' length that is filled, 0 to 1.
        mimics: frequency of calcifications and masses, in all patients, relative to that of textbooks.
        edge: width of the boundary relative to a sharp one.
        grain: unevenness of the density relative to a standard deviation of 3 HU.
    """

    severity: tuple[float, float] = (4.5, 1.3)
    growth: float = 1.0
    clot_hu: tuple[float, float] = (61.0, 66.0)
    clot_sd: float = 5.5
    dilute: float = 0.05
    dilute_hu: tuple[float, float] = (47.0, 55.0)
    old: tuple[float, float] = (0.05, 0.3)
    old_kinds: tuple[float, float, float] = (0.3, 0.35, 0.35)
    old_mm: float = 4.0
    epidural_mm: tuple[float, float] = (9.0, 30.0)
    subdural_mm: tuple[float, float] = (2.6, 17.0)
    film_mm: tuple[float, float] = (2.0, 5.0)
    films: tuple[float, float] = (0.1, 0.25)
    sulci_mm: tuple[float, float] = (14.0, 34.0)
    sulci: tuple[int, int] = (3, 4)
    sulci_open_mm: tuple[float, float] = (1.2, 1.8)
    sulci_fill: tuple[float, float] = (0.92, 1.0)
    cisterns_fill: tuple[float, float] = (0.9, 1.0)
    cisterns: tuple[float, float] = (0.6, 1.0)
    contusion_mm: tuple[float, float] = (4.5, 13.0)
    hematoma: tuple[float, float] = (0.45, 1.95)
    infratentorial: float = 0.25
    ends: float = 0.15
    ventricle_fill: tuple[float, float] = (0.08, 0.8)
    mimics: float = 0.9
    edge: float = 1.0
    grain: float = 1.2


@dataclass(frozen=True)
class Noise:
    """Level, correlation and texture of the noise, from study to study; pairs are ranges.

    Attributes:
        level: factor on the scanner's noise; 2 to 6 HU at 0.49 mm pixels in `STANDARD`.
        grain: factor on the scanner's peak frequency; lower is more correlated.
        blur: factor on the scanner's point spread.
        edge: added to the scanner's edge enhancement.
        hardening: factor on the scanner's beam hardening.
        iterative: strength of iterative reconstruction on scanners that have it: the share of an
            edge-preserving filter's result, in [0, 1], relative to the scanner's.
        everywhere: least strength on all scanners, in [0, 1].
    """

    level: tuple[float, float] = (0.6, 1.0)
    grain: tuple[float, float] = (0.85, 1.2)
    blur: tuple[float, float] = (0.8, 1.3)
    edge: tuple[float, float] = (0.0, 0.15)
    hardening: tuple[float, float] = (0.5, 1.5)
    iterative: float = 1.0
    everywhere: float = 0.0


@dataclass(frozen=True)
class Calibration:
    """HU level, from study to study.

    Attributes:
        offset: half width of the offsets, HU, besides the scanner's (-2.5 to 4 HU).
        gain: half width of the relative error of HU.
        site: factor on the scanners' offsets and gains.
        bias: offset of all studies, HU.
    """

    offset: float = 5.5
    gain: float = 0.02
    site: float = 1.0
    bias: float = 0.0


@dataclass(frozen=True)
class Pose:
    """Rotation, tilt, position of the head, field of view; pairs are mean and standard deviation.

    Attributes:
        yaw: rotation about the long axis, degrees, at most `most_yaw`; 10 to 90 %: -20 to 17.
        most_yaw: degrees.
        pitch: chin down, degrees, besides 0.6 of the gantry's tilt.
        roll: standard deviation, degrees.
        shift_x: of the brain's centre from the image's, mm, at most 20.
        shift_y: likewise, towards the back.
        field_of_view: mm added to the ends of the scanner's range.
        bottom: range of the lowest slice, mm from the brain's centre: -70 is the foramen magnum, -45 the
            orbitomeatal line.
        top: range of the highest slice, mm from the vertex.
        thickness: factor on the scanner's slice thickness.
    """

    yaw: tuple[float, float] = (-1.5, 14.0)
    most_yaw: float = 27.0
    pitch: tuple[float, float] = (3.0, 5.0)
    roll: float = 3.5
    shift_x: tuple[float, float] = (0.0, 6.0)
    shift_y: tuple[float, float] = (3.0, 8.0)
    field_of_view: tuple[float, float] = (-8.0, 10.0)
    bottom: tuple[float, float] = (-68.0, -38.0)
    top: tuple[float, float] = (-18.0, -4.0)
    thickness: float = 1.0


@dataclass(frozen=True)
class Surroundings:
    """Head rest, lines on the head, traces of surgery.

    Attributes:
        operated: share of patients with traces of surgery.
        swollen: share of patients with a swollen scalp: with an injured head and bleeding, without bleeding.
        plates: share of craniotomies and burr holes that are closed with metal.
        lines: share of patients with leads, tubes or clips outside the skin.
        collar: share of patients with a cervical collar; three times that after an injury.
        fillings: share of adults with dental metal.
        other_rest: share of studies on another head rest than the scanner's usual one.
        foam: share of studies on a plain foam block.
        strap: share of studies with a strap over the forehead.
    """

    operated: float = 0.08
    swollen: tuple[float, float] = (0.6, 0.4)
    plates: float = 0.6
    lines: float = 0.35
    collar: float = 0.05
    fillings: float = 0.3
    other_rest: float = 0.2
    foam: float = 0.2
    strap: float = 0.25


@dataclass(frozen=True)
class Family:
    """A family of phantoms; each field is one group of numbers."""

    surface: Surface = Surface()
    bright: Bright = Bright()
    size: Size = Size()
    density: Density = Density()
    bleeding: Bleeding = Bleeding()
    noise: Noise = Noise()
    calibration: Calibration = Calibration()
    pose: Pose = Pose()
    surroundings: Surroundings = Surroundings()


STANDARD = Family()
FORMER = Family(
    surface=Surface(
        touch=0.0, fluid=(1.0, 2.2), onset=0.0, frontal=0.5, patchy=0.0, posterior=1.0, tent=(1.2, 0.0),
        sulcus=(0.32, 1.15), fissure=(0.8, 1.0), sylvian=(0.7, 1.9), spacing=(17.0, 34.0), glow=0.0,
    ),
    bright=Bright(
        blood=(50.0, 4.5), dura=(52.0, 4.0), falx=(0.75, 0.0, 0.15), sinus=(4.0, 0.7), transverse=(3.6, 0.0),
        skew=0.0, torcula=0.0, artery=(0.0, 0.0), veins=0.0, plexus=0.0, roof=(2.5, 0.0), ripple=0.0,
        clinoids=0.0, muscle=(52.0, 0.0),
    ),
    size=Size(
        shape=(1.0, 1.0, 1.0), bumps=0.0, skull=(6.3, 1.1), scalp=(6.0, 1.6),
        temporalis=(6.0, 2.0),
    ),
    density=Density(grey=(38.2, 1.2), young=0.0, contrast=(9.0, 0.8), csf=(6.0, 1.5)),
    bleeding=Bleeding(
        severity=(4.5, 1.2), growth=1.0, clot_hu=(66.0, 66.0), dilute=0.0, old=(0.03, 0.4), old_mm=0.0,
        old_kinds=(0.3, 0.3, 0.4), epidural_mm=(5.0, 29.0), subdural_mm=(1.8, 18.3), film_mm=(2.5, 4.5),
        films=(0.06, 0.2), sulci_mm=(10.0, 26.0), sulci=(2, 4), sulci_open_mm=(0.7, 0.7),
        sulci_fill=(0.7, 0.95), cisterns_fill=(0.8, 1.0), cisterns=(1.0, 1.0), contusion_mm=(3.0, 11.0),
        hematoma=(0.42, 1.92), infratentorial=0.17, ends=0.0, ventricle_fill=(0.08, 0.68),
        mimics=1.0, edge=1.0,
        grain=1.0,
    ),
    surroundings=Surroundings(
        operated=0.065, swollen=(0.75, 0.3), plates=0.0, lines=0.03, collar=0.0, other_rest=0.0, foam=0.0,
        strap=0.0,
    ),
    noise=Noise(
        level=(1.0, 1.0), grain=(1.0, 1.0), blur=(1.0, 1.0), edge=(0.0, 0.0), hardening=(1.0, 1.0),
        iterative=0.0,
    ),
    calibration=Calibration(offset=1.0, gain=0.0),
    pose=Pose(
        yaw=(0.0, 4.5), most_yaw=45.0, pitch=(3.0, 4.5), roll=3.5, shift_x=(0.0, 5.0), shift_y=(4.0, 5.0),
        field_of_view=(0.0, 0.0), bottom=(-63.0, -51.0), top=(-6.0, 4.0),
    ),
)  # fmt: skip
SHIFTED = Family(
    surface=Surface(
        touch=-0.3, fluid=(0.4, 3.2), onset=0.2, frontal=0.6, patchy=0.9, tent=(0.6, 0.3),
        sulcus=(0.15, 0.95), fissure=(0.5, 1.1), sylvian=(0.6, 2.2), spacing=(21.0, 42.0),
        glow=60.0, reach=(1.0, 1.8),
    ),
    bright=Bright(
        blood=(51.0, 4.5), dura=(50.0, 4.0), falx=(0.4, 0.8, 0.3), sinus=(4.2, 1.2), transverse=(3.4, 0.9),
        skew=0.2, torcula=2.0, artery=(0.0, 0.8), veins=0.5, plexus=0.4, roof=(8.0, 1.5), ripple=1.0,
        muscle=(53.0, 6.0),
    ),
    size=Size(
        scale=(0.965, 0.925), shape=(1.09, 0.96, 1.0), long=(-0.02, 0.045), egg=(0.4, 0.6),
        square=(0.16, 0.08), warp=(1.9, 0.5), bumps=0.4, skull=(7.4, 1.4), scalp=(6.0, 1.5),
        temporalis=(14.0, 3.0),
    ),
    density=Density(grey=(34.0, 1.8), young=1.5, contrast=(7.0, 1.0), csf=(8.5, 1.5)),
    bleeding=Bleeding(
        severity=(3.2, 1.5), growth=1.0, clot_hu=(57.0, 68.0), clot_sd=7.0, dilute=0.2,
        dilute_hu=(46.0, 54.0), old=(0.1, 0.5), old_kinds=(0.4, 0.4, 0.2), epidural_mm=(3.0, 26.0),
        subdural_mm=(2.5, 17.0), film_mm=(1.5, 6.0), films=(0.15, 0.3), sulci_mm=(7.0, 26.0), sulci=(1, 4),
        contusion_mm=(2.8, 12.0), hematoma=(0.4, 1.9), infratentorial=0.3, ends=0.35,
        ventricle_fill=(0.08, 0.85), mimics=2.0, edge=1.5, grain=1.7,
    ),
    surroundings=Surroundings(
        operated=0.14, plates=0.8, lines=0.5, collar=0.12, fillings=0.45, other_rest=0.2, foam=0.6,
        strap=0.5,
    ),
    noise=Noise(
        level=(0.75, 1.2), grain=(0.65, 0.85), blur=(1.2, 1.8), edge=(0.1, 0.5), hardening=(1.0, 2.2),
        everywhere=0.45,
    ),
    calibration=Calibration(offset=4.0, gain=0.03, site=0.0, bias=-6.0),
    pose=Pose(
        yaw=(6.0, 9.0), pitch=(-6.0, 6.0), roll=6.0, shift_x=(4.0, 6.0), shift_y=(-6.0, 7.0),
        field_of_view=(10.0, 30.0), bottom=(-74.0, -50.0), top=(-10.0, 10.0), thickness=0.6,
    ),
)  # fmt: skip
FAMILIES = {"standard": STANDARD, "former": FORMER, "shifted": SHIFTED}
GROUPS = tuple(field.name for field in dataclasses.fields(Family))


def parse(text: str) -> Family:
    """A family from text: a name, then `group=name` for groups that another family gives.

    Args:
        text: such as "standard" or "former, pose=standard".

    Raises:
        ValueError: an unknown family or group.
    """
    name, *swaps = (part.strip() for part in text.split(","))
    groups = {}
    for swap in swaps:
        group, equals, other = (part.strip() for part in swap.partition("="))
        if not equals or group not in GROUPS:
            raise ValueError(f"family={text!r}: {swap!r}: pass group=family of {', '.join(GROUPS)}")
        groups[group] = getattr(_named(other, text), group)
    return dataclasses.replace(_named(name, text), **groups)


def _named(name: str, text: str) -> Family:
    if name not in FAMILIES:
        raise ValueError(f"family={text!r}: {name!r}: choose from {', '.join(FAMILIES)}")
    return FAMILIES[name]
