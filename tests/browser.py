"""The report as a reader meets it: opened in Chromium, and as text."""

import html
import re
import shutil
import subprocess

import pytest


def text_of(source: str) -> str:
    """What a reader sees of a page."""
    body = re.sub(r"<(style|script|svg).*?</\1>", " ", source, flags=re.DOTALL)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", body)))


def browse(source, tmp_path, *flags: str) -> tuple[str, list[str]]:
    """The page's DOM after loading, and what its console said; a blocked request is such a message."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium on this machine: the page was not opened in a browser")
    done = subprocess.run(
        [
            *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"),
            *("--no-first-run", "--disable-background-networking", "--disable-component-update"),
            *("--disable-sync", f"--user-data-dir={tmp_path / 'profile'}"),
            *("--enable-logging=stderr", *flags, "--dump-dom", source.as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]
