"""Renders the templates under `templates/` as self-contained HTML or as Markdown."""

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from fl_jax.data.site_names import ALL_SITES, HOLDOUT
from fl_jax.evaluation.shortcuts import SOLVED
from fl_jax.files.regular import read_text
from fl_jax.report.formatting import FILTERS, markdown_text
from fl_jax.report.gains import MINIMUM, TOO_FEW

TEMPLATES = Path(__file__).parent / "templates"
Filters = dict[str, Callable[..., Any]]


def render_html(template: str, *, filters: Filters | None = None, **values: Any) -> str:
    """Renders a page with its style sheet and script inline.

    Args:
        template: file name under `templates/`.
        filters: filters of this page alone.
        **values: its variables. HTML in them is escaped, except in `Markup`; a missing one is an error.

    Returns:
        The page. Its content security policy blocks all network access.
    """
    environment = _environment(autoescape=True, filters=filters)
    environment.globals |= {
        "css": Markup(read_text(TEMPLATES / "page.css")),
        "script": Markup(read_text(TEMPLATES / "page.js")),
        **{"HOLDOUT": HOLDOUT, "ALL_SITES": ALL_SITES, "number": _numbering()},
        **{"TOO_FEW": TOO_FEW, "MINIMUM": MINIMUM, "SOLVED": SOLVED},
    }
    return environment.get_template(template).render(**values)


def render_markdown(template: str, **values: Any) -> str:
    """Renders Markdown; texts and keys of `values` cannot add markup, see `formatting.markdown_text`.

    The filter `cell` fits text into a table cell.
    """
    cell = {"cell": lambda text: " ".join(text.split()).replace("|", "\\|")}
    environment = _environment(autoescape=False, filters=cell)
    environment.globals["TOO_FEW"] = TOO_FEW
    return environment.get_template(template).render(_plain(values))


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return markdown_text(value)
    if isinstance(value, Mapping):
        return {_plain(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _numbering() -> Callable[[str], str]:
    """Numbers the tables and figures of a page in their order: "Table 1", "Table 2", ..."""
    counts: Counter[str] = Counter()

    def number(kind: str) -> str:
        counts[kind] += 1
        return f"{kind} {counts[kind]}"

    return number


def _environment(*, autoescape: bool, filters: Filters | None) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=autoescape,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=not autoescape,
    )
    environment.filters |= FILTERS | (filters or {})
    return environment
