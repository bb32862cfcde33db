"""Packages import only from packages below them, and no two files import each other, however indirectly.

    python tests/architecture_test.py

prints the packages from top to bottom with their size and what each imports.
"""

import ast
import builtins
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = (  # from top to bottom; a package may import any package below it
    "launch",
    "fl_jax.experiment",
    "fl_jax.report",
    "fl_jax.workdir",
    "fl_jax.evaluation",
    "fl_jax.phantom",
    "fl_jax.data",
    "fl_jax.faults",
    "fl_jax.algorithms",
    "fl_jax.aggregators",
    "fl_jax.wrappers",
    "fl_jax.tasks",
    "fl_jax.models",
    "fl_jax.core",
    "fl_jax.files",
)
LIBRARY = "fl_jax"
"""`fl_jax/__init__.py`, which collects public names and which no module of the library imports."""


def module_name(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {
    module_name(path): path
    for top in ("fl_jax", "launch")
    for path in sorted((ROOT / top).rglob("*.py"))
}


def package_of(module):
    return next((p for p in PACKAGES if module == p or module.startswith(p + ".")), None)


def imported_names(path):
    """Every dotted name that a file imports, late imports included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write imports absolutely"
            assert node.module
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in MODULES else node.module


def imports(module):
    """The modules of this repository that a module imports."""
    found = {name for name in imported_names(MODULES[module]) if name in MODULES}
    return found - {module}


def circle(edges):
    """The first import circle, as a list of modules; empty where there is none."""
    done, path = set(), []

    def visit(module):
        if module in path:
            return [*path[path.index(module) :], module]
        if module in done:
            return []
        path.append(module)
        found = next(filter(None, map(visit, sorted(edges.get(module, ())))), [])
        path.pop()
        done.add(module)
        return found

    return next(filter(None, map(visit, sorted(edges))), [])


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_point_down(module):
    if module == LIBRARY:
        return
    here = package_of(module)
    assert here, f"{module} is in none of PACKAGES: put it into one, or add its package there"
    for name in imports(module):
        assert name != LIBRARY, f"{module} imports the public face; import the module itself"
        there = package_of(name)
        assert PACKAGES.index(there) >= PACKAGES.index(here), f"{module} imports {name}, from above"


def test_no_import_circles():
    assert circle({module: imports(module) for module in MODULES}) == []


def test_a_circle_is_found():
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]


def test_the_library_has_no_loose_modules():
    assert [path.name for path in (ROOT / "fl_jax").glob("*.py")] == ["__init__.py"]


def test_nothing_shadows_the_standard_library_or_a_builtin():
    taken = (sys.stdlib_module_names | set(dir(builtins))) - {"types"}  # as in other libraries
    names = {module: module.rpartition(".")[2] for module in MODULES if module.startswith("fl_jax")}
    assert [module for module, name in names.items() if name in taken] == []


def test_importing_the_library_starts_nothing():
    heavy = ["tensorflow", "tensorflow_datasets", "tensorboard", "matplotlib", "pydicom"]
    heavy += ["sklearn", "cv2", "jinja2"]
    code = f"import sys, fl_jax\nprint(*[name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
    assert done.stderr == ""


def print_house():
    """Prints each package's files, lines and the packages that it imports, from top to bottom."""
    print(f"{'package':<22}{'files':>6}{'lines':>8}  imports")
    totals = [0, 0]
    for package in PACKAGES:
        inside = [module for module in MODULES if package_of(module) == package]
        lines = sum(len(MODULES[m].read_text(encoding="utf-8").splitlines()) for m in inside)
        below = {package_of(name) for module in inside for name in imports(module)} - {package}
        named = [p.removeprefix("fl_jax.") for p in PACKAGES if p in below]
        print(f"{package:<22}{len(inside):>6}{lines:>8}  {', '.join(named)}")
        totals = [totals[0] + len(inside), totals[1] + lines]
    print(f"{'':<22}{totals[0]:>6}{totals[1]:>8}")


if __name__ == "__main__":
    print_house()
