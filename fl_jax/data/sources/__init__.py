"""A source lists which file is which image of which site, with its labels, before a pixel is read.

| layout | what it lists | labels |
|---|---|---|
| `sites` | `<source>/<site>/input/labels.csv`, `<source>/<site>/input/data/<Image>.dcm` | six a line |
| `rsna` | `<source>/stage_2_train.csv`, `<source>/stage_2_train/<Image>.dcm` | six lines an image |
| `loose` | every file in and under `<source>` | none: for inference only |

What a source may get wrong, and what happens then, is in the table of each layout's module.
"""

import pathlib
from collections.abc import Callable

from fl_jax.data.sources.listing import ALL_SITES, HOLDOUT, Item, Listing
from fl_jax.data.sources.loose import loose
from fl_jax.data.sources.rsna import rsna
from fl_jax.data.sources.sites import read_labels, sites

__all__ = ["ALL_SITES", "HOLDOUT", "LAYOUTS", "Item", "Listing", "list_source", "read_labels"]

LAYOUTS: dict[str, Callable[[pathlib.Path], Listing]] = {
    "sites": sites,
    "rsna": rsna,
    "loose": loose,
}
"""How to list a source, by name."""


def list_source(source: str | pathlib.Path, *, layout: str = "sites") -> Listing:
    """Lists a source without opening an image.

    Args:
        source: the folder.
        layout: a key of `LAYOUTS`.

    Returns:
        The listing; at least one item.

    Raises:
        ValueError: an unknown layout, a fault of the layout's table, or nothing to list.
        FileNotFoundError: source is not a folder.
    """
    if layout not in LAYOUTS:
        raise ValueError(f"layout is {layout!r}: give one of {', '.join(LAYOUTS)}")
    source = pathlib.Path(source)
    if not source.is_dir():
        raise FileNotFoundError(f"source is {str(source)!r}, which is no folder")
    listing = LAYOUTS[layout](source)
    if not listing.items:
        lacking = "no file in it" if layout == "loose" else "no image has both a label and a file"
        raise ValueError(f"{source}: {lacking}; see layout {layout!r}")
    return listing
