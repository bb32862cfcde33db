"""The same CT slice, stored in another orientation with the header that says so."""

import copy
import itertools

import numpy as np
import pydicom

TURNS = list(itertools.product((False, True), repeat=3))
"""The 8 orientations of a picture: transposed, upside down, mirrored; half of them reverse the normal."""


def turned(
    original: pydicom.Dataset, transposed: bool, upside_down: bool, mirrored: bool
) -> pydicom.Dataset:
    """A copy whose pixels change places while each keeps its place in the patient."""
    ds = copy.deepcopy(original)
    pixels = np.frombuffer(ds.PixelData, "<u2").reshape(ds.Rows, ds.Columns)
    corner = np.array(ds.ImagePositionPatient, float)
    along_row, along_column = np.array(ds.ImageOrientationPatient, float).reshape(2, 3)
    between_rows, between_columns = map(float, ds.PixelSpacing)
    if mirrored:
        pixels = pixels[:, ::-1]
        corner += (ds.Columns - 1) * between_columns * along_row
        along_row = -along_row
    if upside_down:
        pixels = pixels[::-1]
        corner += (ds.Rows - 1) * between_rows * along_column
        along_column = -along_column
    if transposed:
        pixels = pixels.T
        along_row, along_column = along_column, along_row
        between_rows, between_columns = between_columns, between_rows
    ds.Rows, ds.Columns = pixels.shape
    ds.PixelSpacing = [f"{between_rows:.6f}", f"{between_columns:.6f}"]
    ds.ImagePositionPatient = [f"{x:.5f}" for x in corner]
    ds.ImageOrientationPatient = [f"{x:.6f}" for x in (*along_row, *along_column)]
    ds.PixelData = pixels.tobytes()
    return ds
