"""Lists a source folder: which file is which image of which site, with which labels; reads no pixels.

| layout | files | labels |
|---|---|---|
| `sites` | `<source>/<site>/input/labels.csv`, `<source>/<site>/input/data/<Image>.dcm` | six columns, one row an image |
| `rsna` | `<source>/stage_2_train.csv`, `<source>/stage_2_train/<Image>.dcm` | six rows an image |
| `loose` | every file below `<source>` | none: for inference only |

The docstring of each layout's module lists which faults raise an error and which are repaired and counted.
"""  # noqa: E501 - a table

import pathlib
from collections.abc import Callable

from fl_jax.data.sources.listing import Item, Listing, check_unchanged
from fl_jax.data.sources.loose import loose
from fl_jax.data.sources.rsna import rsna
from fl_jax.data.sources.site_folders import read_labels, site_folders, site_paths

__all__ = [
    "LAYOUTS",
    "Item",
    "Listing",
    "check_unchanged",
    "list_source",
    "read_labels",
    "site_paths",
]

LAYOUTS: dict[str, Callable[[pathlib.Path], Listing]] = {
    "sites": site_folders,
    "rsna": rsna,
    "loose": loose,
}


def list_source(source: str | pathlib.Path, *, layout: str = "sites") -> Listing:
    """Lists a source folder without opening any image.

    Args:
        source: the folder.
        layout: a key of `LAYOUTS`.

    Returns:
        The listing, with at least one item.

    Raises:
        ValueError: an unknown layout, an error of the layout's table, or no image at all.
        FileNotFoundError: source is not a folder.
    """
    if layout not in LAYOUTS:
        raise ValueError(f"layout is {layout!r}: give one of {', '.join(LAYOUTS)}")
    source = pathlib.Path(source)
    if not source.is_dir():
        raise FileNotFoundError(f"source is {str(source)!r}, which is not a folder")
    listing = LAYOUTS[layout](source)
    if not listing.items:
        lacking = "it has no file" if layout == "loose" else "no image has both a label and a file"
        raise ValueError(f"{source}: {lacking}; see layout {layout!r}")
    return listing
