"""READMEs: short at the top, and every link and every program that they name exists."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    path
    for folder in (ROOT, ROOT / "configs", ROOT / "launch", ROOT / "fl_jax")
    for path in (folder.glob("*.md") if folder == ROOT else folder.rglob("README.md"))
)


def test_the_first_page_is_short():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    assert len(text.split()) <= 1000


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith(("http:", "https:", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name} links to {link}"
        if anchor:
            titles = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", t.lower()).replace(" ", "-") for t in titles}
            assert anchor in slugs, f"{page.name} links to {link}; there are {sorted(slugs)}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_programs_configs_and_files_exist(page):
    text = page.read_text(encoding="utf-8")
    for program in set(re.findall(r"-m (launch\.\w+)", text)):
        assert importlib.util.find_spec(program), f"{page.name} names {program}"
    for file in set(re.findall(r"(?<![\w/])((?:configs|fl_jax|launch|tests)/[\w/]+\.\w+)", text)):
        assert (ROOT / file).exists(), f"{page.name} names {file}"
