"""A tree of DICOM files without labels, for inference only: what a hospital's export looks like.

Every regular file in and under the folder is an image, named by its path from there, with its suffix
as it stands. Nothing is left out by its name: text, a DICOMDIR, scouts and pages of text are each
refused with a reason when they are read, and counted. Links to folders are not followed.
"""

import os
import pathlib
from typing import NoReturn

from fl_jax.data.sources.listing import COUNTS, Item, Listing, check_link, digest

SITE = "loose"


def loose(source: pathlib.Path) -> Listing:
    """Lists every file under a folder.

    Raises:
        OSError: a folder in it cannot be read.
        ValueError: a file's name is no text, or a link that leads out of the folder.
    """
    paths = [
        os.path.join(folder, name)
        for folder, _, names in os.walk(source, onerror=_fail)
        for name in names
    ]
    images = {os.path.relpath(path, source): path for path in paths if os.path.isfile(path)}
    for image, path in images.items():
        if not image.isprintable():
            raise ValueError(f"{source}: the file {image!r} has a name that is no text; rename it")
        if os.path.islink(path):
            check_link(path, source)
    items = [Item(path, image, SITE, None) for image, path in sorted(images.items())]
    return Listing(items, {SITE: dict.fromkeys(COUNTS, 0)}, digest(items))


def _fail(error: OSError) -> NoReturn:
    raise error
