"""The floors of the house: an import only ever points down, and importing the library starts nothing."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FLOORS = [  # from the ground up; the first pattern that a module's name begins with decides
    [
        "fl_jax.types",
        "fl_jax.keys",
        "fl_jax.task",
        "fl_jax.losses",
        "fl_jax.mixup",
        "fl_jax.micro_batches",
        "fl_jax.spec",
        "fl_jax.text",
        "fl_jax.arrays",
        "fl_jax.files",
        "fl_jax.shapes",
        "fl_jax.data.columns",
        "fl_jax.data.index",
        "fl_jax.data.dicom",
        "fl_jax.data.sources",
        "fl_jax.layers",
        "fl_jax.data.windows",
        "fl_jax.data.phantom",
        "fl_jax.data.partition",
        "fl_jax.data.pseudonyms",
        "fl_jax.data.adjacent",
        "fl_jax.data.deidentify",
        "fl_jax.data.export",
        "fl_jax.data.label_skew",
        "fl_jax.data.digits",
        "fl_jax.data.slices",
        "fl_jax.data.studies",
        "fl_jax.data.tally",
        "fl_jax.data.workers",
        "fl_jax.data.duplicates",
        "fl_jax.evaluation.roc",
        "fl_jax.evaluation.delong",
        "fl_jax.evaluation.intervals",
        "fl_jax.evaluation.own_other",
        "fl_jax.evaluation.predictions",
        "fl_jax.evaluation.studies",
        "fl_jax.evaluation.proportions",
        "fl_jax.evaluation.detection",
        "fl_jax.evaluation.comparisons",
        "fl_jax.evaluation.seeds",
        "fl_jax.evaluation.calibration",
        "fl_jax.evaluation.temperature",
        "fl_jax.evaluation.saliency",
    ],
    [
        "fl_jax.client",
        "fl_jax.messages",
        "fl_jax.aggregators",
        "fl_jax.faults",
        "fl_jax.faulty",
        "fl_jax.models",
        "fl_jax.weights",
        "fl_jax.statistics",
        "fl_jax.over_rounds",
        "fl_jax.averaged",
        "fl_jax.recompute",
        "fl_jax.data.pipeline",
        "fl_jax.data.builder",
        "fl_jax.evaluation.summary",
    ],
    [
        "fl_jax.round",
        "fl_jax.layouts",
        "fl_jax.algorithms",
        "fl_jax.evaluation.cross_site",
        "fl_jax.evaluation.operating",
        "fl_jax.evaluation.subgroups",
    ],
    [
        "fl_jax.study",
        "fl_jax.record",
        "fl_jax.whole_studies",
        "fl_jax.arms",
        "fl_jax.simulate",
        "fl_jax.checkpoint",
        "fl_jax.report",
    ],
    ["launch"],
]
MODULES = sorted(
    path.relative_to(ROOT) for top in ("fl_jax", "launch") for path in (ROOT / top).rglob("*.py")
)


def floor(module):
    for level, names in enumerate(FLOORS):
        if any(module == name or module.startswith(name + ".") for name in names):
            return level
    return None


def imports(path):
    tree = ast.parse((ROOT / path).read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            assert node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_imports_point_down(path):
    module, names = ".".join(path.with_suffix("").parts).removesuffix(".__init__"), [*imports(path)]
    if path == Path("fl_jax", "__init__.py"):  # the shelf of names for `import fl_jax`
        return
    here = floor(module)
    empty = path.name == "__init__.py" and not names
    assert here is not None or empty, f"{module} stands on no floor: add it to FLOORS"
    for name in names:
        there = floor(name)
        assert there is None or there <= here, f"{module} imports {name} from a floor above"
        assert name.split(".")[0] != "configs", f"{module} imports a config"


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.py")), ids=lambda p: p.name)
def test_configs_import_nothing_of_ours(path):
    relative = path.relative_to(ROOT)
    assert not [n for n in imports(relative) if n.split(".")[0] in ("fl_jax", "launch")]


def test_importing_the_library_starts_nothing():
    heavy = ["tensorflow", "tensorflow_datasets", "tensorboard", "matplotlib", "pydicom"]
    heavy += ["sklearn", "cv2", "jinja2"]
    code = (
        "import sys, fl_jax, fl_jax.round, fl_jax.simulate, fl_jax.algorithms.fed_avg, fl_jax.study\n"
        f"print(*[name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
    assert done.stderr == ""
