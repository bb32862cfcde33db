"""How pages, tables and checklists print numbers and names."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fl_jax.data.site_names import ALL_SITES, HOLDOUT


def fixed(value: float | None, digits: int = 3) -> str:
    """A number with a fixed number of decimals.

    Args:
        value: None where undefined.
        digits: after the decimal point.

    Returns:
        Such as "0.951"; an en dash where undefined; a true minus sign, never "−0.000".
    """
    if value is None:
        return "–"
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text.replace("-", "−")


def signed(value: float | None, digits: int = 3) -> str:
    """A difference with its sign; arguments as for `fixed`."""
    text = fixed(value, digits)
    return f"+{text}" if value is not None and float(f"{value:.{digits}f}") > 0 else text


def limits(interval: Mapping[str, Any], digits: int = 3, *, difference: bool = False) -> str:
    """An interval's limits: "0.940–0.961", or for a difference "−0.011 to +0.002".

    An interval without width, as that of one patient or of a perfect score, says nothing about precision.
    """
    if interval.get("low") is None or interval.get("high") in (None, interval["low"]):
        return "no interval"
    if difference:
        return f"{_limit(interval['low'], digits)} to {_limit(interval['high'], digits)}"
    return f"{fixed(interval['low'], digits)}–{fixed(interval['high'], digits)}"


def _limit(value: float, digits: int) -> str:
    """Adds decimals where rounding would hide on which side of 0 a limit lies."""
    enough = (n for n in range(digits, digits + 4) if float(f"{value:.{n}f}"))
    return signed(value, next(enough, digits))


def p_value(p: float | None) -> str:
    """Four decimals, or "< 0.0001"; an en dash where undefined."""
    return "< 0.0001" if p is not None and p < 0.0001 else fixed(p, 4)


def percent(share: float) -> str:
    """A share in [0, 1] as "95 %", with a no-break space."""
    return f"{100 * share:g}\u00a0%"


def grouped(count: float | None) -> str:
    """A count with thin spaces between thousands; an en dash for None."""
    return "–" if count is None else f"{count:,.0f}".replace(",", "\u202f")


def duration(seconds: float | None) -> str:
    """Seconds as "9.5 s", "6 min 43 s" or "2 h 05 min"; an en dash for None."""
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def display_name(name: str) -> str:
    """The name of a model or data set on the page: "elm" for `local_elm`, "hold-out" for `holdout`."""
    special = {HOLDOUT: "hold-out", ALL_SITES: "all hospitals"}
    return special.get(name, name.removeprefix("local_"))


def singular(unit: str) -> str:
    """One of the units that predictions are of: "slice", "study" or "patient"."""
    return {"slices": "slice", "studies": "study", "patients": "patient"}[unit]


def markdown_text(text: str) -> str:
    """A text of unknown origin on one line, without HTML, links, images or the end of a code span."""
    for mark, harmless in (("<", "&lt;"), ("`", "'"), ("](", "] ("), ("][", "] [")):
        text = text.replace(mark, harmless)
    return " ".join(text.splitlines())


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table without a final newline."""
    lines = [
        "| " + " | ".join(markdown_text(cell).replace("|", "\\|") for cell in cells) + " |"
        for cells in (header, *rows)
    ]
    lines.insert(1, "|---" * len(header) + "|")
    return "\n".join(lines)


FILTERS = {
    **{"fixed": fixed, "signed": signed, "limits": limits, "p_value": p_value},
    **{"percent": percent, "grouped": grouped, "duration": duration, "display": display_name},
    "singular": singular,
}
"""Filters of every template."""
