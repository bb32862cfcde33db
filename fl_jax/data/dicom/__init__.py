"""A DICOM file becomes a slice in Hounsfield units, or a refusal with a named reason.

    HU = slope * stored + intercept,  clipped to [-1024, 3071],  then averaged down to size x size

Nothing is altered in silence. A file that breaks a rule of DICOM or of physics is refused, with a
`Reason`; a file with a known and reversible fault is repaired, and its slice lists each `Repair`.
Both enums, in `refusal`, say what they stand for.

Geometry: the field of view is kept and pixels become square. A picture that is rectangular, in
pixels or in mm, is scaled by its longer side and centred on air, never stretched or cropped.
Pictures shrink by area averaging (the study's bilinear 512 to 256 is the same thing at that factor)
and grow, where they are smaller than `size`, by bilinear interpolation. Orientation is left as
stored.

References: DICOM PS3.3 C.7.6.2 (image plane), C.7.6.3 (pixels), C.8.2.1 (CT image), C.11.1
(rescale); PS3.5 section 8 (encoding of pixels).
"""

from fl_jax.files.extras import extra

with extra("ct"):
    from fl_jax.data.dicom.hounsfield import HU_RANGE
    from fl_jax.data.dicom.parallel import read_all
    from fl_jax.data.dicom.read import Dialect, Slice, read
    from fl_jax.data.dicom.refusal import ALL_REPAIRS, Reason, Refusal, Repair

__all__ = [
    "ALL_REPAIRS",
    "HU_RANGE",
    "Dialect",
    "Reason",
    "Refusal",
    "Repair",
    "Slice",
    "read",
    "read_all",
]
