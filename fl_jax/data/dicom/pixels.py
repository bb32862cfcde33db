"""Decodes PixelData: from checked bytes to stored values."""

from typing import Any

import numpy as np
import pydicom.uid
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import Decoder, get_decoder

from fl_jax.data.dicom import bounds, codestream
from fl_jax.data.dicom.header import Header, integer, pixel_bytes, text
from fl_jax.data.dicom.parse import quiet
from fl_jax.data.dicom.refusal import Reason, RefusedError, Repair, shown

LAST_STEP = 100
"""Largest difference, in stored values, between the last two pixels for a missing byte to be a pad byte."""


def stored_values(header: Header) -> tuple[np.ndarray, tuple[Repair, ...]]:
    """Stored values, int16 or uint16 [rows, columns], and the repairs they needed.

    Uncompressed pixels bypass pydicom, whose decoder accepts a missing byte and a second frame.
    """
    rows, columns = integer(header, "Rows"), integer(header, "Columns")
    if rows < 1 or columns < 1:
        raise RefusedError(Reason.BAD_GEOMETRY, f"Rows {rows} x Columns {columns}")
    bounds.check("Rows or Columns", max(rows, columns), bounds.LARGEST_SIDE)
    allocated, bits = integer(header, "BitsAllocated"), integer(header, "BitsStored")
    high, signed = integer(header, "HighBit", bits - 1), integer(header, "PixelRepresentation")
    if allocated != 16 or not 8 <= bits <= 16 or high != bits - 1 or signed not in (0, 1):
        raise RefusedError(
            Reason.BIT_DEPTH,
            f"BitsAllocated {allocated}, BitsStored {bits}, HighBit {high}, signed {signed}",
        )
    data, order, syntax = pixel_bytes(header), header.order, header.syntax
    if not data:
        raise RefusedError(Reason.EMPTY, "PixelData is missing or of length 0")
    if syntax is not None and not syntax.is_transfer_syntax:
        raise RefusedError(Reason.COMPRESSED, f"TransferSyntaxUID is {shown(syntax)}")
    lossy = text(header, "LossyImageCompression") == "01"
    if syntax is not None and syntax.is_encapsulated:
        decoder, plugin = _decoder(syntax)
        stream, is_lossy = codestream.checked(bytes(data), syntax, rows, columns, bool(signed))
        pixels = _decoded(
            encapsulate([stream], has_bot=False),
            decoder,
            plugin,
            rows=rows,
            columns=columns,
            samples_per_pixel=1,
            number_of_frames=1,
            photometric_interpretation=text(header, "PhotometricInterpretation"),
            bits_allocated=allocated,
            bits_stored=bits,
            pixel_representation=signed,
            pixel_keyword="PixelData",
        )
        return pixels, (Repair.LOSSY,) if lossy or is_lossy else ()
    repairs = (Repair.LOSSY,) if lossy else ()
    need = 2 * rows * columns
    padded = len(data) == need - 1 and order == "<"
    if padded:
        data = bytes(data) + b"\0"
    if len(data) < need:
        raise RefusedError(Reason.TRUNCATED, f"{len(data)} of {need} pixel bytes")
    if len(data) >= 2 * need:
        raise RefusedError(Reason.MULTI_FRAME, f"{len(data)} bytes, one frame has {need}")
    if len(data) > need:
        raise RefusedError(
            Reason.BAD_GEOMETRY, f"{len(data)} pixel bytes, Rows x Columns need {need}"
        )
    stored = np.frombuffer(data, order + ("i2" if signed else "u2")).reshape(rows, columns)
    stored = stored.astype(stored.dtype.newbyteorder("="), copy=False)
    if not padded:
        return stored, repairs
    last, before = int(stored.flat[-1]), int(stored.flat[max(stored.size - 2, 0)])
    if abs(last - before) > LAST_STEP:  # the lost byte was not a pad byte
        raise RefusedError(Reason.TRUNCATED, f"{need - 1} of {need} pixel bytes")
    return stored, (*repairs, Repair.PAD_BYTE)


def _decoder(syntax: pydicom.uid.UID) -> tuple[Decoder, str]:
    """pydicom's decoder of a transfer syntax and its plugin."""
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError as error:
        raise RefusedError(Reason.COMPRESSED, f"{syntax.name}: unknown to pydicom") from error
    plugin = _plugin(syntax)
    if plugin not in decoder.available_plugins:
        raise RefusedError(
            Reason.COMPRESSED, f"{syntax.name}: install a decoder, pip install 'fl_jax[decoders]'"
        )
    return decoder, plugin


def _decoded(data: bytes, decoder: Decoder, plugin: str, **layout: Any) -> np.ndarray:
    """Decodes compressed pixels with exactly one of pydicom's decoders.

    By default pydicom tries the next decoder if one rejects a stream, and libjpeg returns a picture for most
    of the JPEG-LS streams that pyjpegls rejects; GDCM crashes the process on some.
    """
    with quiet():
        pixels, _ = decoder.as_array(data, raw=True, decoding_plugin=plugin, **layout)
    if pixels.shape != (layout["rows"], layout["columns"]) or pixels.dtype.itemsize != 2:
        raise RefusedError(Reason.BAD_GEOMETRY, f"pixels decode to {pixels.dtype}{pixels.shape}")
    return pixels


def _plugin(syntax: pydicom.uid.UID) -> str:
    """pydicom's name of the decoder for a transfer syntax."""
    if syntax == pydicom.uid.RLELossless:
        return "pydicom"
    return "pyjpegls" if syntax in pydicom.uid.JPEGLSTransferSyntaxes else "pylibjpeg"
