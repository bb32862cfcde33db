"""Structure-aware mutations of DICOM files: what a broken writer, copy or disk makes of a good one.

A file is taken apart into its preamble, its file meta information and its elements, each with tag, VR, the
length that it claims, and its bytes; mutations act on these, and on the bytes of the whole afterwards.
"""

import struct
from typing import NamedTuple

from fuzzing import flipped

LONG = (b"OB", b"OW", b"OF", b"SQ", b"UN", b"UT", b"OD", b"OL", b"UC", b"UR", b"OV")
VRS = (*LONG, *(b"AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US ?? ".split()))
PIXELS = (0x7FE0, 0x0010)
UNDEFINED = 0xFFFFFFFF
SYNTAXES = [
    *(f"1.2.840.10008.1.2{end}" for end in ("", ".1", ".2", ".1.99", ".5", ".4.50", ".4.57")),
    *(f"1.2.840.10008.1.2.4.{end}" for end in ("70", "80", "90", "100", "201")),
    *("1.2.3", "", "x" * 70),
]
NUMBERS = (
    *(
        "",
        " ",
        "0",
        "-0",
        "-1",
        "1",
        "2",
        "12",
        "16",
        "1e4",
        "1e308",
        "1e999",
        "-1e999",
        "nan",
        "inf",
    ),
    *(
        "-inf",
        "0x10",
        "1_0",
        "1,5",
        "١",
        "1\\2",
        "0\\0",
        "nan\\nan",
        "1\\0\\0\\0\\1",
        "\0",
        "9" * 400,
    ),
    *(
        "1\\0\\0\\0\\1\\0",
        "0\\1\\0\\1\\0\\0",
        "1\\0\\0\\0\\0\\1",
        "2\\0\\0\\0\\2\\0",
        "-1\\0\\0\\0\\1\\0",
    ),
    *(
        "1e-320",
        "-1e-5\\-1e-5",
        "1e300\\1e-300",
        "inf\\inf",
        "0.5\\-0.5",
        "-1024",
        "-3024",
        "32767",
    ),
)
WORDS = (
    b"",
    b"CT",
    b"MR",
    b"\xff\xfe\xfd",
    b"\x1b$B",
    b"A\\B\\C",
    b"../../x",
    b"a\0b",
    b"Z" * 5000,
)
SHORTS = (0, 1, 2, 7, 8, 11, 12, 15, 16, 17, 23, 24, 25, 31, 32, 255, 32768, 65535)


class Element(NamedTuple):
    """An element of explicit VR, little endian; `claims` is what its length field says."""

    tag: tuple[int, int]
    vr: bytes
    claims: int
    value: bytes

    def encode(self):
        head = struct.pack("<HH", *self.tag) + self.vr
        if self.vr in LONG:
            return head + struct.pack("<HI", 0, self.claims & 0xFFFFFFFF) + self.value
        return head + struct.pack("<H", self.claims & 0xFFFF) + self.value


class File(NamedTuple):
    """A file in parts."""

    preamble: bytes
    meta: list[Element]
    elements: list[Element]

    def encode(self):
        return self.preamble + b"".join(e.encode() for e in (*self.meta, *self.elements))


def parse(data):
    """Takes apart a file of explicit VR, little endian, whose only undefined length is the pixels'."""
    place, elements = 132, []
    while place < len(data):
        group, number, vr = struct.unpack_from("<HH2s", data, place)
        if vr in LONG:
            (length,) = struct.unpack_from("<I", data, place + 8)
            place += 12
        else:
            (length,) = struct.unpack_from("<H", data, place + 6)
            place += 8
        end = len(data) if length == UNDEFINED else place + length
        elements.append(Element((group, number), vr, length, data[place:end]))
        place = end
    meta = [e for e in elements if e.tag[0] == 2]
    return File(data[:132], meta, elements[len(meta) :])


def mutate(generator, file):
    """A file's bytes with one to four faults, and whether nothing but pixels was taken away."""
    if generator.integers(10) == 0:
        cut = _fewer_pixels(generator, file)
        return cut.encode(), cut != file
    for _ in range(int(generator.integers(1, 5))):
        file = FAULTS[int(generator.integers(len(FAULTS)))](generator, file)
    data = file.encode()
    for _ in range(int(generator.integers(0, 4)) // 2):
        data = _bytes(generator, data)
    return data, False


def _one(generator, elements):
    """The place of an element; every third time that of the pixels, where they are."""
    if generator.integers(3) == 0 and elements[-1].tag == PIXELS:
        return len(elements) - 1
    return int(generator.integers(len(elements)))


def _pick(generator, values):
    return values[int(generator.integers(len(values)))]


def _drop(generator, file):
    if len(file.elements) < 2:
        return file
    place = _one(generator, file.elements)
    return file._replace(elements=[e for n, e in enumerate(file.elements) if n != place])


def _double(generator, file):
    place = _one(generator, file.elements)
    elements = file.elements[: place + 1] + file.elements[place:]
    return file._replace(elements=elements)


def _swap(generator, file):
    elements = list(file.elements)
    a, b = _one(generator, elements), _one(generator, elements)
    elements[a], elements[b] = elements[b], elements[a]
    return file._replace(elements=elements)


def _other_vr(generator, file):
    return _changed(generator, file, lambda e: e._replace(vr=_pick(generator, VRS)))


def _other_tag(generator, file):
    def change(element):
        if generator.integers(2):
            return element._replace(tag=_pick(generator, file.elements).tag)
        return element._replace(tag=tuple(int(x) for x in generator.integers(0, 65536, 2)))

    return _changed(generator, file, change)


def _length_lie(generator, file):
    def change(element):
        size = len(element.value)
        lie = _pick(
            generator,
            (0, 1, size - 1, size + 1, size + 2, size // 2, 2 * size, 0x7FFFFFFF, UNDEFINED, 65534),
        )
        return element._replace(claims=max(0, lie))

    return _changed(generator, file, change)


def _other_value(generator, file):
    def change(element):
        if element.vr == b"US":
            value = struct.pack("<H", _pick(generator, SHORTS))
        elif element.vr in (b"DS", b"IS"):
            value = _pick(generator, NUMBERS).encode()
        elif element.tag == PIXELS:
            return _other_pixels(generator, element)
        else:
            value = _pick(generator, WORDS)
        value += b" " * (len(value) % 2)
        return element._replace(value=value, claims=len(value))

    return _changed(generator, file, change)


def _other_pixels(generator, element):
    """Whole pixels with other values: noise, one value, extremes, a frame too many."""
    value = element.value
    match int(generator.integers(5)):
        case 0:
            value = generator.bytes(len(value))
        case 1:
            value = bytes(len(value))
        case 2:
            value = b"\xff\x7f" * (len(value) // 2)
        case 3:
            value = value * 2
        case 4:
            value = flipped(generator, value, 8)
    return element._replace(value=value, claims=min(len(value), UNDEFINED))


def _fewer_pixels(generator, file):
    """Takes pixel bytes away, with an honest length or the old one; by two bytes at least."""
    last = file.elements[-1]
    if last.tag != PIXELS or len(last.value) < 4 or last.claims == UNDEFINED:
        return file
    value = last.value[: int(generator.integers(0, len(last.value) - 2))]
    honest = bool(generator.integers(2))
    element = last._replace(value=value, claims=len(value) if honest else last.claims)
    return file._replace(elements=[*file.elements[:-1], element])


def _nested(generator, file):
    """A private or a known sequence, in itself, of defined or undefined lengths, closed or not."""
    value = b""
    for _ in range(int(_pick(generator, (1, 2, 8, 64, 300)))):
        item = struct.pack("<HH", 0xFFFE, 0xE000)
        if generator.integers(2):
            item += struct.pack("<I", len(value)) + value
        else:
            item += struct.pack("<I", UNDEFINED) + value + struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
        tag = _pick(generator, ((0x0008, 0x1140), (0x0009, 0x1001), (0x0018, 0x9346)))
        open_ended = bool(generator.integers(2))
        claims = UNDEFINED if open_ended else len(item)
        if open_ended and generator.integers(8):
            item += struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
        value = Element(tag, b"SQ", claims, item).encode()
    place = int(generator.integers(len(file.elements) + 1))
    item = struct.pack("<HHI", 0xFFFE, 0xE000, len(value)) + value
    outer = Element((0x0008, 0x1115), b"SQ", len(item), item)
    return file._replace(elements=[*file.elements[:place], outer, *file.elements[place:]])


def _undefined(generator, file):
    """An element of undefined length, with or without the delimiter that should end it."""

    def change(element):
        end = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0) if generator.integers(2) else b""
        vr = element.vr if element.vr in LONG else _pick(generator, (b"UN", b"OB", b"SQ"))
        return element._replace(vr=vr, claims=UNDEFINED, value=element.value + end)

    return _changed(generator, file, change)


def _meta(generator, file):
    meta = list(file.meta)
    place = int(generator.integers(len(meta)))
    match int(generator.integers(4)):
        case 0:
            del meta[place]
        case 1:
            meta[place] = meta[place]._replace(claims=int(_pick(generator, SHORTS)))
        case 2:
            meta = []
        case 3:
            for n, element in enumerate(meta):
                if element.tag == (2, 0x10):
                    text = _pick(generator, SYNTAXES).encode()
                    text += b"\0" * (len(text) % 2)
                    meta[n] = element._replace(value=text, claims=len(text))
    return file._replace(meta=meta or file.meta[:1])


def _preamble(generator, file):
    return file._replace(preamble=_pick(generator, (b"", b"DICM", bytes(132), file.preamble[:-1])))


def _changed(generator, file, change):
    elements = list(file.elements)
    place = _one(generator, elements)
    elements[place] = change(elements[place])
    return file._replace(elements=elements)


def _bytes(generator, data):
    match int(generator.integers(4)):
        case 0:
            return data[: int(generator.integers(len(data) + 1))]
        case 1:
            return flipped(generator, data, int(generator.integers(1, 9)))
        case 2:
            return data + generator.bytes(int(generator.integers(1, 600)))
        case _:
            place, size = int(generator.integers(len(data) + 1)), int(generator.integers(1, 64))
            return data[:place] + data[place + size :]


FAULTS = (
    *(_drop, _double, _swap, _other_vr, _other_tag, _length_lie, _other_value, _other_value),
    *(_other_value, _fewer_pixels, _nested, _undefined, _meta, _preamble, _length_lie),
)


def whole_bytes(generator, data):
    """For files that are not explicit VR, little endian: one to four faults of bytes."""
    for _ in range(int(generator.integers(1, 5))):
        data = _bytes(generator, data)
    return data


def header_bytes(generator, data, head=600):
    """As `whole_bytes`, with all faults in the header or right before the end of the file."""
    changed = bytearray(data)
    for _ in range(int(generator.integers(1, 9))):
        near = generator.integers(132, min(head, len(data)))
        end = generator.integers(max(0, len(data) - 64), len(data))
        changed[int(near if generator.integers(2) else end)] = int(
            _pick(generator, (0, 1, 255, 16))
        )
    return bytes(changed)
