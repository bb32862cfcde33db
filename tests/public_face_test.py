"""The public face: what `import fl_jax as fl` offers, how long it takes, and the example of the README."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fl_jax as fl
from fl_jax.core import spec

README = Path(__file__).parent.parent / "README.md"


def example():
    """The README's first example."""
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    return blocks[0]


@pytest.fixture
def arrays():
    generator = np.random.default_rng(0)

    def draw(count):
        x = generator.normal(size=(count, 32))
        return x, (x[:, :6] > 0).astype(np.float32)

    (xa, ya), (xb, yb), (x_test, y_test) = draw(200), draw(90), draw(500)
    return {"xa": xa, "ya": ya, "xb": xb, "yb": yb, "x_test": x_test, "y_test": y_test}


def test_the_example_runs_and_learns(arrays):
    names = dict(arrays)
    code = example()
    assert len([line for line in code.splitlines() if line.strip()]) <= 15
    exec(compile(code, "the example", "exec"), names)
    assert names["state"].round == 10
    assert list(names["metrics"].loss) == ["a", "b"]
    assert max(names["metrics"].loss.values()) < 0.6
    accuracy = ((names["probabilities"] > 0.5) == (arrays["y_test"] > 0.5)).mean()
    assert accuracy > 0.7
    _, metrics = names["step"](names["state"], present=["a"])
    assert np.isnan(metrics.loss["b"])
    assert metrics.accepted == {"a": True, "b": False}


def test_the_example_needs_no_name_of_python():
    import builtins

    assigned = re.findall(r"^(\w+(?:, \w+)*) = ", example(), re.MULTILINE)
    taken = {name for line in assigned for name in line.split(", ")} & set(dir(builtins))
    assert taken == set()
    assert not hasattr(fl, "round")


@pytest.mark.parametrize("package", ["algorithms", "aggregators"])
def test_every_plug_in_is_a_function_of_its_package_and_of_the_face(package):
    module = getattr(fl, package)
    assert set(module.__all__) <= {*spec.names(f"fl_jax.{package}")}
    for name in module.__all__:
        factory = getattr(module, name)
        assert factory is getattr(fl, name) is spec.plug_in(f"fl_jax.{package}", name)
        assert callable(factory)
    assert set(module.__all__) <= set(fl.__all__)


def test_a_new_file_needs_no_line_elsewhere(tmp_path, monkeypatch):
    (tmp_path / "fed_nothing.py").write_text("def fed_nothing(loss, optimizer): return 'made'\n")
    monkeypatch.setattr(fl.algorithms, "__path__", [*fl.algorithms.__path__, str(tmp_path)])
    from fl_jax.algorithms import fed_nothing  # pyright: ignore[reportAttributeAccessIssue]

    assert fed_nothing is fl.fed_nothing is spec.plug_in("fl_jax.algorithms", "fed_nothing")
    assert fed_nothing(None, None) == "made"
    assert spec.build("fed_nothing()", "fl_jax.algorithms", None, None) == "made"
    with pytest.raises(AttributeError, match="fl_jax' has no attribute 'fed_typo'"):
        _ = fl.fed_typo  # pyright: ignore[reportAttributeAccessIssue]


def test_a_function_and_its_module_go_by_one_name():
    from fl_jax.algorithms import fed_avg
    from fl_jax.algorithms.fed_avg import ServerState
    from fl_jax.algorithms.fed_avg import fed_avg as same

    assert fed_avg is same is fl.fed_avg
    assert ServerState._fields[0] == "params"


def seconds(statement):
    """The best of three imports, each in a process."""
    code = f"import time; t = time.perf_counter(); {statement}; print(time.perf_counter() - t)"
    run = lambda: subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)  # noqa: E731
    return min(float(run().stdout) for _ in range(3))


def test_the_import_takes_little_more_than_its_parts():
    parts, whole = seconds("import jax, flax, optax"), seconds("import fl_jax")
    assert whole < 1.5 * parts + 0.1, f"{whole:.2f} s against {parts:.2f} s"
