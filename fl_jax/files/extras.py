"""Optional dependencies: a missing package is answered with the command that installs it."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Wraps imports of packages that only one extra of `pyproject.toml` installs.

        with extra("ct"):
            import pydicom

    Args:
        name: the extra, a key of `[project.optional-dependencies]`.

    Raises:
        ModuleNotFoundError: a package is missing; the message names it and the pip command.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] in ("fl_jax", "launch"):
            raise
        raise ModuleNotFoundError(
            f"{error.name} is not installed; run: pip install 'fl_jax[{name}]'", name=error.name
        ) from error
