"""A tree of DICOM files without labels, for inference only: what a hospital's export looks like.

Every regular file in and under the folder is an image, named by its path from there, with its suffix
as it stands. Nothing is left out by its name: text, a DICOMDIR, scouts and pages of text are each
refused with a reason when they are read, and counted. Links to folders are not followed.
"""

import os
import pathlib
from typing import NoReturn

from fl_jax.data.sources.listing import COUNTS, Item, Listing, digest

SITE = "loose"


def loose(source: pathlib.Path) -> Listing:
    """Lists every file under a folder; raises OSError where a folder in it cannot be read."""
    paths = [
        os.path.join(folder, name)
        for folder, _, names in os.walk(source, onerror=_fail)
        for name in names
    ]
    images = {os.path.relpath(path, source): path for path in paths if os.path.isfile(path)}
    items = [Item(path, image, SITE, None) for image, path in sorted(images.items())]
    return Listing(items, {SITE: dict.fromkeys(COUNTS, 0)}, digest(items))


def _fail(error: OSError) -> NoReturn:
    raise error
