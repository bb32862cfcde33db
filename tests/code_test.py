"""Source checks: no file is read as code, and no tracked file names a machine or a registry."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted(
    path.relative_to(ROOT)
    for top in ("fl_jax", "launch", "configs")
    for path in (ROOT / top).rglob("*.py")
)
MODULES = {
    *("pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"),
    *("yaml", "ruamel", "jsonpickle", "code", "builtins"),
}
"""Modules that load objects or run text."""
CALLS = {"eval", "exec", "compile", "__import__"}
SHELLS = {"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"}
SAFE = {
    "numpy.load": ("allow_pickle", "False"),
    "torch.load": ("weights_only", "True"),
}
"""Readers, and the argument without which they unpickle."""
ENDINGS = ("run_path", "load_module", "read_pickle", "hub.load", "jit.load")


def dangers(tree):
    """Yields line and name of whatever could run code from data."""
    known = {"np": "numpy", "torch": "torch", "os": "os", "subprocess": "subprocess"}
    nodes = list(ast.walk(tree))
    for node in nodes:
        if isinstance(node, ast.Import):
            known |= {n.asname: n.name for n in node.names if n.asname}
            imported = [n.name for n in node.names]
        elif isinstance(node, ast.ImportFrom):
            known |= {n.asname or n.name: f"{node.module}.{n.name}" for n in node.names}
            imported = [node.module or ""]
        else:
            continue
        yield from ((node.lineno, name) for name in imported if name.split(".")[0] in MODULES)

    def full(node):
        """The dotted name with import aliases resolved."""
        first, dot, rest = ast.unparse(node).partition(".")
        return known.get(first, first) + dot + rest

    called = {id(node.func): node for node in nodes if isinstance(node, ast.Call)}
    for node in nodes:
        if isinstance(node, ast.Call):
            for word in node.keywords:
                if word.arg in ("allow_pickle", "shell") and ast.unparse(word.value) != "False":
                    yield node.lineno, word.arg
            texts = [a.value for a in node.args if isinstance(a, ast.Constant)]
            if full(node.func).endswith("import_module") and {*texts} & MODULES:
                yield node.lineno, f"import_module of {texts}"
        if not isinstance(node, ast.Name | ast.Attribute):
            continue
        name = full(node)  # called here, or passed on
        if name in CALLS | SHELLS or name.endswith(ENDINGS):
            yield node.lineno, name
        if name in SAFE:
            keyword, value = SAFE[name]
            keywords = called[id(node)].keywords if id(node) in called else ()
            if (keyword, value) not in [(k.arg, ast.unparse(k.value)) for k in keywords]:
                yield node.lineno, f"{name} without {keyword}={value}"


@pytest.mark.parametrize("path", FILES, ids=str)
def test_no_code_from_data(path):
    calls = list(dangers(ast.parse((ROOT / path).read_text())))
    assert not calls, f"{path}: {calls}"


@pytest.mark.parametrize(
    "line",
    [
        *(f"import {name}" for name in ("pickle", "marshal", "shelve", "joblib", "yaml", "dill")),
        *("import pickle as p", "from pickle import loads", "from yaml import load"),
        *("import_module('pickle')", "importlib.import_module('marshal')", "__import__(name)"),
        *("runpy.run_path(path)", "from runpy import run_path\nrun_path(path)"),
        *("eval(text)", "exec(text)", "compile(text, '', 'exec')", "map(eval, texts)"),
        *("np.load(path)", "numpy.load(path)", "np.load(path, allow_pickle=True)"),
        *("np.load(path, allow_pickle=flag)", "np.load(path, **given)", "map(np.load, paths)"),
        *("import numpy as n\nn.load(path)", "from numpy import load as f\nf(path)"),
        *("np.save(path, x, allow_pickle=True)", "np.lib.format.read_array(f, allow_pickle=1)"),
        *("torch.load(path)", "torch.load(path, weights_only=False)", "torch.hub.load(a, b)"),
        *(
            "from torch import load\nload(path)",
            "partial(torch.load, path)",
            "pd.read_pickle(path)",
        ),
        *(
            "subprocess.run(text, shell=True)",
            "os.system(text)",
            "from os import popen\npopen(text)",
        ),
    ],
)
def test_dangerous_code_is_detected(line):
    assert list(dangers(ast.parse(line)))


@pytest.mark.parametrize(
    "line",
    [
        "np.load(path, allow_pickle=False)",
        "torch.load(path, map_location='cpu', weights_only=True)",
        "ast.literal_eval(text); re.compile(text); model.eval(); jax.jit(f).lower(x).compile()",
        "json.loads(text); store.load(path); importlib.import_module('torch')",
    ],
)
def test_safe_code_passes(line):
    assert not list(dangers(ast.parse(line)))


# Joined here, so that this file does not contain them.
HOSTS = [
    ".".join(parts) for parts in (("pypi", "org"), ("python" + "hosted", "org"), ("npmjs", "org"))
]
HOSTS += [".".join(parts) for parts in (("npmjs", "com"), ("debian", "org"), ("anaconda", "org"))]
PATHS = [f"/{name}/" for name in ("root", "home", "work", "opt")]
PRIVATE = re.compile(
    "|".join(rf"(?<![\w.~}}]){p}" for p in PATHS) + "|" + "|".join(map(re.escape, HOSTS))
)


def test_no_registry_host_or_machine_path_is_named():
    command = ("git", "ls-files", "-z")
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout
    if not listed:
        pytest.skip("needs a git checkout")
    for name in filter(None, listed.split("\0")):
        try:
            text = (ROOT / name).read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError):  # a picture, or deleted in the work tree
            continue
        match = PRIVATE.search(text)
        assert match is None, f"{name} names {match[0]}"


@pytest.mark.parametrize("text", [f"see https://{HOSTS[0]}/x", f"cd {PATHS[0]}x", f"'{PATHS[2]}'"])
def test_hosts_and_paths_are_detected(text):
    assert PRIVATE.search(text)


# Everything else writes and reads through `fl_jax.files`: no link followed, nothing read without a bound.
RAW = {
    *("open", "io.open", "os.open", "os.fdopen", "os.truncate", "numpy.load", "numpy.fromfile"),
    *(f"os.{n}" for n in ("replace", "rename", "renames", "remove", "unlink", "rmdir", "mkdir")),
    *(f"os.{n}" for n in ("makedirs", "removedirs", "symlink", "link")),
    *(f"shutil.{n}" for n in ("rmtree", "move", "copy", "copy2", "copyfile", "copytree")),
}
METHODS = {
    *("open", "write_text", "write_bytes", "read_text", "read_bytes", "mkdir", "touch", "tofile"),
    *("unlink", "rename", "rmdir", "symlink_to", "hardlink_to", "rmtree"),
}
"""Methods of paths and archives."""
ALLOWED = {
    "fl_jax/experiment/checkpoint.py": {"shutil.rmtree", "rename"},  # steps, which Orbax writes
    "fl_jax/experiment/checkpoint_step.py": {"open"},  # TensorStore's, of a checked folder
    "launch/__init__.py": {"os.open"},  # the null device, in the place of closed standard streams
    "fl_jax/data/dataset.py": {
        "unlink",
        "os.replace",
    },  # whole folders, in a claimed and locked one
    "launch/benchmarks": {"read_bytes"},  # what they wrote to a temporary folder
}


def raw_access(tree):
    """Yields line and name of each file access that does not go through `fl_jax.files`."""
    known = {"np": "numpy"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            known |= {n.asname or n.name: n.name for n in node.names}
        elif isinstance(node, ast.ImportFrom):
            known |= {n.asname or n.name: f"{node.module}.{n.name}" for n in node.names}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        first, dot, rest = ast.unparse(node.func).partition(".")
        name = known.get(first, first) + dot + rest
        if name in RAW:
            yield node.lineno, name
        elif isinstance(node.func, ast.Attribute) and not name.startswith("fl_jax."):
            method = node.func.attr
            one = len(node.args) == 1 and not node.keywords
            if method in METHODS or (method == "replace" and one):
                yield node.lineno, method


@pytest.mark.parametrize("path", [p for p in FILES if "fl_jax/files" not in str(p)], ids=str)
def test_files_are_accessed_through_one_package(path):
    allowed = set()
    for place, names in ALLOWED.items():
        allowed |= names if str(path).startswith(place) else set()
    calls = [c for c in raw_access(ast.parse((ROOT / path).read_text())) if c[1] not in allowed]
    assert not calls, f"{path}: {calls}: use fl_jax.files"


@pytest.mark.parametrize(
    "line",
    [
        *("open(path)", "open(path, 'w')", "path.open('wb')", "(a / b).write_text(x)"),
        *("Path(a).read_bytes()", "import shutil\nshutil.rmtree(x)", "import os\nos.replace(a, b)"),
        *("from os import unlink\nunlink(a)", "a.rename(b)", "a.replace(b)", "np.load(a)"),
        *("from shutil import rmtree as r\nr(a)", "a.mkdir()", "numpy.load(a, allow_pickle=False)"),
    ],
)
def test_raw_access_is_detected(line):
    assert list(raw_access(ast.parse(line)))


def test_access_through_the_package_passes():
    text = "from fl_jax.files import atomic\natomic.write_text(a, b)\ntext.replace('a', 'b')"
    assert not list(raw_access(ast.parse(text)))
