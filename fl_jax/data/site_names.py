"""Valid names of sites, and the two reserved ones."""

import re

import numpy as np

HOLDOUT = "holdout"
"""The site whose patients no model trains on."""
ALL_SITES = "all_sites"
"""The report's name for the test patients of all sites together; no site may use it."""
LONGEST = 100
SITE_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_.-]{{0,{LONGEST - 1}}}")
"""A site's name becomes a folder's name on every operating system."""


def check_site(where: str, site: str) -> None:
    """Raises ValueError if a site's name could not be a folder's name."""
    if not SITE_NAME.fullmatch(site):
        raise ValueError(
            f"{where} {site[:80]!r}: use up to {LONGEST} letters, digits, '_', '-' and '.', "
            "and begin with a letter or digit"
        )


def numbered_sites(sites: int) -> np.ndarray:
    """str[S], `site_1`, `site_2`, ..., zero-padded so that they sort by number.

    Raises:
        ValueError: sites < 1.
    """
    if sites < 1:
        raise ValueError(f"sites={sites}: must be at least 1")
    width = len(str(sites))
    return np.array([f"site_{number:0{width}d}" for number in range(1, sites + 1)])
