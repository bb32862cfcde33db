"""Reads a DICOM file as a CT slice in Hounsfield units (HU), or refuses it with a named reason.

    HU = slope * stored + intercept,  clipped to [-1024, 3071],  then area-averaged to size x size

Nothing changes silently. A file that violates DICOM or physics is refused with a `Reason`. A file with a
known, reversible fault is repaired, and its slice lists each `Repair`. `refusal` documents both enums.

Geometry: the whole field of view is kept and pixels become square. A picture that is not square, in pixels or
in mm, is scaled by its longer side and centred on air, never stretched or cropped. Pictures shrink by area
averaging, which at 512 to 256 equals the published study's bilinear resize; pictures smaller than `size` grow
by bilinear interpolation. With `spacing_mm` slices have fixed mm a pixel and are centred on the head instead;
see `resample`. Every picture is radiological, turned exactly if need be; see `plane`.

References: DICOM PS3.3 C.7.6.2 (image plane), C.7.6.3 (pixels), C.8.2.1 (CT image), C.11.1 (rescale);
PS3.5 section 8 (encoding of pixels).
"""

from fl_jax.files.extras import extra

with extra("ct"):
    from fl_jax.data.dicom.hounsfield import HU_RANGE
    from fl_jax.data.dicom.parallel import read_all
    from fl_jax.data.dicom.plane import Planes
    from fl_jax.data.dicom.read import Dialect, Slice, patient_id, read
    from fl_jax.data.dicom.refusal import ALL_REPAIRS, Reason, Refusal, Repair
    from fl_jax.data.dicom.resample import NO_SKULL, Centre, Centres

__all__ = [
    "ALL_REPAIRS",
    "HU_RANGE",
    "NO_SKULL",
    "Centre",
    "Centres",
    "Dialect",
    "Planes",
    "Reason",
    "Refusal",
    "Repair",
    "Slice",
    "patient_id",
    "read",
    "read_all",
]
