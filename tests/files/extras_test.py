import re
import tomllib
from pathlib import Path

import pytest

from fl_jax.files.extras import extra

ROOT = Path(__file__).parent.parent.parent


def test_a_missing_package_is_answered_with_the_command():
    with pytest.raises(ModuleNotFoundError) as caught, extra("ct"):
        import no_such_package.inner  # pyright: ignore[reportMissingImports]  # noqa: F401
    expected = "no_such_package is not installed; run: pip install 'fl_jax[ct]'"
    assert str(caught.value) == expected
    assert caught.value.name == "no_such_package"


def test_nested_extras_answer_once():
    with pytest.raises(ModuleNotFoundError) as caught, extra("ct"), extra("ct"):
        import no_such_package  # pyright: ignore[reportMissingImports]  # noqa: F401
    assert str(caught.value).count("pip install") == 1


def test_a_missing_module_of_this_project_is_a_bug_and_passes():
    with (
        pytest.raises(ModuleNotFoundError, match=r"No module named 'fl_jax\.nothing'"),
        extra("ct"),
    ):
        import fl_jax.nothing  # pyright: ignore[reportMissingImports]  # noqa: F401


def test_every_extra_that_the_source_names_exists():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    paths = [*(ROOT / "fl_jax").rglob("*.py"), *(ROOT / "launch").rglob("*.py")]
    used = {
        name for path in paths for name in re.findall(r'with extra\("(\w+)"\)', path.read_text())
    }
    assert used
    assert used <= set(extras)
