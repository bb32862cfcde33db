"""The README's library example runs as it stands, and its algorithm is the one in the file."""

import ast
import re
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"


def blocks():
    return re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)


def test_the_example_runs_and_says_what_the_comment_says(capsys):
    code = blocks()[0]
    assert len([line for line in code.splitlines() if line.strip()]) <= 22
    names = {}
    exec(compile(code, str(README), "exec"), names)
    losses = np.asarray(names["metrics"]["loss"])
    assert np.isfinite(losses[:4]).all()
    assert np.isnan(losses[4])
    assert losses[:4].max() < 0.5
    assert "nan" in capsys.readouterr().out


def test_the_algorithm_shown_is_fed_prox():
    def function(text):
        (found,) = (n for n in ast.parse(text).body if isinstance(n, ast.FunctionDef))
        if ast.get_docstring(found):
            found.body = found.body[1:]
        return ast.unparse(found)

    file = (ROOT / "fl_jax" / "algorithms" / "fed_prox.py").read_text()
    assert function(blocks()[1]) == function(file)
