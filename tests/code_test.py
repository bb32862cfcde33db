"""Nothing that is read is ever run: no code of the project unpickles, evaluates or loads objects."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted(
    path.relative_to(ROOT)
    for top in ("fl_jax", "launch", "configs")
    for path in (ROOT / top).rglob("*.py")
)
MODULES = {
    "pickle",
    "cPickle",
    "dill",
    "cloudpickle",
    "joblib",
    "marshal",
    "shelve",
    "yaml",
    "jsonpickle",
}
CALLS = {"eval", "exec", "compile", "__import__"}
SHELLS = {"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"}


def dangers(tree):
    """Lines and names of what could run code from data."""
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        for name in names:
            if name.split(".")[0] in MODULES:
                yield node.lineno, name
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            kwargs = {k.arg: ast.unparse(k.value) for k in node.keywords}
            if called in CALLS or called in SHELLS:
                yield node.lineno, called
            if called.endswith((".load_module", "pd.read_pickle", "torch.load")):
                yield node.lineno, called
            if called in ("np.load", "numpy.load") and kwargs.get("allow_pickle") != "False":
                yield node.lineno, "np.load without allow_pickle=False"
            if kwargs.get("allow_pickle", "False") != "False":
                yield node.lineno, "allow_pickle"
            if kwargs.get("shell", "False") != "False":
                yield node.lineno, "shell"


@pytest.mark.parametrize("path", FILES, ids=str)
def test_no_code_from_data(path):
    found = list(dangers(ast.parse((ROOT / path).read_text())))
    assert not found, f"{path}: {found}"


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from yaml import load",
        "eval(text)",
        "exec(text)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "np.save(path, x, allow_pickle=True)",
        "subprocess.run(text, shell=True)",
        "os.system(text)",
    ],
)
def test_the_search_finds_what_it_looks_for(line):
    assert list(dangers(ast.parse(line)))


def test_what_is_safe_is_not_found():
    safe = (
        "np.load(path, allow_pickle=False); ast.literal_eval(text); re.compile(text); model.eval()"
    )
    assert not list(dangers(ast.parse(safe)))
