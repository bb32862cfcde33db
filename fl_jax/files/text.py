"""Checks and shortens text that comes from files of unknown origin."""

LONGEST = 1000
"""Maximum length of a name; a loose file is named by its path below the source folder."""
NAME = "a name has no control characters, no `..` and no leading slash"


def printable(detail: str, longest: int = 300) -> str:
    """Escapes control characters and truncates, so that a text fits one line of a table or terminal.

    Args:
        detail: any text, e.g. a quote from a broken file: megabytes, or terminal escape sequences.
        longest: maximum length of the result, at least 4.
    """
    text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in detail[: longest + 1])
    return text if len(text) <= longest else f"{text[: longest - 4]} ..."


def is_name(text: str) -> bool:
    """Whether a text is safe as a relative path: printable, without `..`, not absolute."""
    parts = text.replace("\\", "/").split("/")
    return text.isprintable() and len(text) <= LONGEST and parts[0] != "" and ".." not in parts


def is_text(text: str) -> bool:
    """Whether a text is printable, not empty and at most `LONGEST` characters."""
    return 0 < len(text) <= LONGEST and text.isprintable()
