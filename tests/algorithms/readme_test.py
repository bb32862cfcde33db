"""The READMEs of algorithms and aggregators list every file, and show the code of the files."""

import ast
import re
from pathlib import Path

import pytest

from fl_jax.core import spec

PACKAGES = Path(__file__).parents[2] / "fl_jax"


def functions(text):
    """Every function of a source by name, without its docstring."""
    shown = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef):
            node.body = node.body[1:] if ast.get_docstring(node) else node.body
            shown[node.name] = ast.unparse(node)
    return shown


@pytest.mark.parametrize("package", ["algorithms", "aggregators"])
def test_every_file_is_listed_and_shown_code_is_the_files(package):
    text = (PACKAGES / package / "README.md").read_text(encoding="utf-8")
    tables = "\n".join(re.findall(r"^\|.*", text, re.MULTILINE))
    listed = {name.partition("(")[0] for name in re.findall(r"`(\w+\(?)", tables)}
    assert listed >= set(spec.names(f"fl_jax.{package}"))
    (block,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    ((name, code),) = functions(block).items()
    assert code == functions((PACKAGES / package / f"{name}.py").read_text(encoding="utf-8"))[name]
