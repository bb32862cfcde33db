"""Packages import only packages below them, and files have no import cycles.

`python tests/architecture_test.py` prints the packages from top to bottom, with their sizes and imports.
"""

import ast
import builtins
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = (  # from top to bottom; a package may import every package below it
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
"""`fl_jax/__init__.py`, the public face; no module imports it."""
WIDTH = 80
"""Columns of a terminal."""


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
    """Every dotted name that a file imports, including imports in functions."""
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
    """The modules of this repository that `module` imports."""
    return {name for name in imported_names(MODULES[module]) if name in MODULES} - {module}


def cycle(edges):
    """The first import cycle as a list of modules, or an empty list."""
    done, path = set(), []

    def visit(module):
        if module in path:
            return [*path[path.index(module) :], module]
        if module in done:
            return []
        path.append(module)
        result = next(filter(None, map(visit, sorted(edges.get(module, ())))), [])
        path.pop()
        done.add(module)
        return result

    return next(filter(None, map(visit, sorted(edges))), [])


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_point_down(module):
    if module == LIBRARY:
        return
    here = package_of(module)
    assert here, f"{module} belongs to none of PACKAGES: move it, or add its package"
    for name in imports(module):
        assert name != LIBRARY, f"{module} imports the public face; import the module itself"
        there = package_of(name)
        assert PACKAGES.index(there) >= PACKAGES.index(here), (
            f"{module} imports {name} from a package above"
        )


def test_no_import_cycles():
    assert cycle({module: imports(module) for module in MODULES}) == []


def test_a_cycle_is_detected():
    assert cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]


def test_the_library_has_no_loose_modules():
    assert [path.name for path in (ROOT / "fl_jax").glob("*.py")] == ["__init__.py"]


def test_nothing_shadows_the_standard_library_or_a_builtin():
    taken = (sys.stdlib_module_names | set(dir(builtins))) - {"types"}  # as in other libraries
    names = {module: module.rpartition(".")[2] for module in MODULES if module.startswith("fl_jax")}
    assert [module for module, name in names.items() if name in taken] == []


def test_importing_the_library_starts_nothing():
    heavy = ["tensorflow", "tensorflow_datasets", "tensorboardX", "matplotlib", "pydicom"]
    heavy += ["sklearn", "cv2", "jinja2", "scipy.stats"]
    modules = "fl_jax, fl_jax.workdir, fl_jax.experiment.train"  # each worker of an experiment pays
    code = f"import sys, {modules}\nprint(*[name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
    assert done.stderr == ""


def house():
    """The packages from top to bottom: sizes, what each imports, and what each is for."""
    columns = " ".join(f"{number:>2}" for number in range(2, len(PACKAGES) + 1))
    yield f"   {'package':<13}{'files':>6}{'lines':>8}   {columns}"
    totals = [0, 0]
    for number, package in enumerate(PACKAGES, 1):
        members = [module for module in MODULES if package_of(module) == package]
        lines = sum(len(MODULES[m].read_text(encoding="utf-8").splitlines()) for m in members)
        targets = {package_of(name) for module in members for name in imports(module)}
        dots = ["●" if p in targets else "·" for p in PACKAGES[number:]]
        arrows = "   " * (number - 1) + " ".join(f" {dot}" for dot in dots)
        name = package.removeprefix("fl_jax.")
        yield f"{number:>2} {name:<13}{len(members):>6}{lines:>8,}   {arrows}".rstrip()
        totals = [totals[0] + len(members), totals[1] + lines]
    yield f"   {'':<13}{totals[0]:>6}{totals[1]:>8,}    ● the row's package imports the column's"
    yield ""
    for number, package in enumerate(PACKAGES, 1):
        summary = ast.get_docstring(ast.parse(MODULES[package].read_text(encoding="utf-8"))) or ""
        line = f"{number:>2} {package.removeprefix('fl_jax.'):<13} {summary.partition(chr(10))[0]}"
        yield line if len(line) <= WIDTH else f"{line[: WIDTH - 4]} ..."


def test_the_house_fits_a_terminal():
    lines = [*house()]
    assert max(map(len, lines)) <= WIDTH
    assert all(len(line.split()) > 3 for line in lines[-len(PACKAGES) :]), (
        "a package needs a docstring"
    )
    assert [line.split()[1] for line in lines[1 : len(PACKAGES) + 1]] == [
        package.removeprefix("fl_jax.") for package in PACKAGES
    ]


if __name__ == "__main__":
    print(*house(), sep="\n")
