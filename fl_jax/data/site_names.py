"""Valid names of sites, and the two reserved ones."""

import re
from collections.abc import Iterable

import numpy as np

HOLDOUT = "holdout"
"""The site whose patients no model trains on."""
ALL_SITES = "all_sites"
"""The report's name for the test patients of all sites together; no site may use it."""
LONGEST = 100
SITE_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_.-]{{0,{LONGEST - 1}}}")
"""A site's name becomes a folder's name on every operating system."""
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?|.*\.", re.IGNORECASE)
"""Names that Windows takes for devices, or whose last character it drops."""
MOST = 100_000
"""Sites of a partition; more than any cohort has patients for."""


def check_site(where: str, site: str) -> None:
    """Raises ValueError if a site's name could not be a folder's name."""
    if not SITE_NAME.fullmatch(site):
        raise ValueError(
            f"{where} {site[:80]!r}: use up to {LONGEST} letters, digits, '_', '-' and '.', "
            "and begin with a letter or digit"
        )


def check_sites(where: str, sites: Iterable[str]) -> None:
    """Raises ValueError if sites could not all have a folder of their name side by side, on any system."""
    seen: dict[str, str] = {}
    for site in sites:
        check_site(where, site)
        if _DEVICE.fullmatch(site):
            raise ValueError(
                f"{where} {site!r}: no folder can have this name on Windows; rename it"
            )
        if site.lower() in seen:
            raise ValueError(
                f"{where} {site!r} and {where} {seen[site.lower()]!r} differ at most in upper and lower "
                "case, which not every file system tells apart; rename one"
            )
        seen[site.lower()] = site


def numbered_sites(sites: int) -> np.ndarray:
    """str[S], `site_1`, `site_2`, ..., zero-padded so that they sort by number.

    Raises:
        ValueError: sites is not 1 to `MOST`.
    """
    if not 1 <= sites <= MOST:
        raise ValueError(f"sites={sites}: must be 1 to {MOST}")
    width = len(str(sites))
    return np.array([f"site_{number:0{width}d}" for number in range(1, sites + 1)])
