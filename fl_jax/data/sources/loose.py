"""Layout `loose`: a tree of DICOM files without labels, as a hospital exports it, for inference only.

Every regular file below the folder is an image, named by its relative path. Names are not filtered: text
files, a DICOMDIR, scouts and dose reports are refused with a reason when they are read, and counted. Folders
of the system, such as lost+found and trash, are left out. A link out of the folder is an error; a link to a
folder within is not followed, since its files are listed there.
"""

import os
import pathlib

from fl_jax.data.sources.listing import COUNTS, Item, Listing, digest
from fl_jax.files.folders import walk
from fl_jax.files.links import check_link

SITE = "loose"


def loose(source: pathlib.Path) -> Listing:
    """Lists every file below a folder.

    Raises:
        OSError: a subfolder cannot be read.
        ValueError: a file's name is not text, or a link leads out of the folder.
    """
    paths: list[str] = []
    for folder, within, names in walk(source):
        paths += [os.path.join(folder, name) for name in (*within, *names)]
    for path in paths:
        if os.path.islink(path):
            check_link(path, source)
    images = {os.path.relpath(path, source): path for path in paths if os.path.isfile(path)}
    for image in images:
        if not image.isprintable():
            raise ValueError(f"{source}: file {image!r} has a name that is not text; rename it")
    items = [Item(path, image, SITE, None) for image, path in sorted(images.items())]
    return Listing(items, {SITE: dict.fromkeys(COUNTS, 0)}, digest(items))
