"""The README's library example runs as it stands."""

import re
from pathlib import Path

import numpy as np

README = Path(__file__).parent.parent / "README.md"


def test_the_example_runs_and_says_what_the_comment_says(capsys):
    code = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)[0]
    assert len([line for line in code.splitlines() if line.strip()]) <= 22
    names = {}
    exec(compile(code, str(README), "exec"), names)
    losses = np.asarray(names["metrics"]["loss"])
    assert np.isfinite(losses[:4]).all()
    assert np.isnan(losses[4])
    assert losses[:4].max() < 0.5
    assert "nan" in capsys.readouterr().out
