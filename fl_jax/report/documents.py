"""Pages beside the report: each drawn from plain JSON, with the report's style and its way to say numbers."""

from typing import Any

from fl_jax.report import page


def render(template: str, **values: Any) -> str:
    """Draws a page of this folder's templates.

    Args:
        template: its file.
        values: what is put into it, escaped.

    Returns:
        The page: self-contained.
    """
    return page.templates().get_template(template).render(**values)
