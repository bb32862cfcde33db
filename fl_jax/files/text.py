"""What broken input holds is shown in one short line, whatever it is."""


def printable(detail: str, longest: int = 300) -> str:
    """A detail for one line of a table or a terminal: control characters escaped, long ones cut.

    It may quote a broken file, and so be megabytes, or hold a terminal's escape sequence.

    Args:
        detail: any text.
        longest: characters of the result, at least 4.
    """
    text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in detail[: longest + 1])
    return text if len(text) <= longest else f"{text[: longest - 4]} ..."
