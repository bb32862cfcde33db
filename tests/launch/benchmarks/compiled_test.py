"""Programs compiled for accelerators that are not there."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import pytest

from launch.benchmarks import compiled, targets

ROOT = Path(__file__).parent.parent.parent.parent
HLO = """
%body.1 (p.1: (s32[], f32[8,8])) -> (s32[], f32[8,8]) {
  %p.1 = (s32[], f32[8,8]) parameter(0)
  %g.1 = f32[8,8]{1,0} get-tuple-element(%p.1), index=1
  %one.1 = u32[1]{0} add(%a, %b)
  %two.1 = s32[] add(%a, %b)
  %c.1 = f32[8,8]{1,0} fusion(%g.1), kind=kLoop, calls=%fused.1
  %d.1 = f32[8,8]{1,0} custom-call(%g.1), custom_call_target="__cudnn$convForward"
  ROOT %t.1 = (s32[], f32[8,8]) tuple(%two.1, %c.1)
}
%graph.2 (q.1: f32[8,8]) -> f32[8,8] {
  %q.1 = f32[8,8]{1,0} parameter(0)
  ROOT %e.1 = f32[8,8]{1,0} fusion(%q.1), kind=kInput, calls=%fused.2
}
ENTRY %main.3 (x.1: f32[8,8]) -> f32[8,8] {
  %x.1 = f32[8,8]{1,0} parameter(0)
  %s.1 = (f32[8,8], u32[]) copy-start(%x.1)
  %r.1 = f32[8,8]{1,0} copy-done(%s.1)
  %k.1 = f32[8,8]{1,0} call(%x.1), to_apply=%graph.2
  %l.1 = f32[8,8]{1,0} call(%k.1), to_apply=%graph.2
  %h.1 = f32[4,8]{1,0} gather(%x.1, %i), offset_dims={1}
  %m.1 = f32[8,8]{1,0} all-reduce(%l.1), to_apply=%sum
  ROOT %w.1 = (s32[], f32[8,8]) while(%t), condition=%cond.1, body=%body.1
}
"""


def test_counts():
    assert compiled.counts(HLO) == {
        "kernels": 4,  # of the entry: two graphs of one fusion, a gather, a sum
        "convolutions": 1,
        "gathers": 1,
        "loops": 1,
        "collectives": 1,
    }
    copies = "".join(f"  %y.{n} = f32[8] copy(%c.1)\n" for n in range(3))
    longer = HLO.replace("  ROOT %t.1", f"{copies}  ROOT %t.1")
    assert compiled.counts(longer)["kernels"] == 5  # of the loop's body: a step


def test_limits():
    target = targets.TARGETS[0]
    within = {
        **{"temporary_bytes": 2**30, "argument_bytes": 2**20, "gathers": 0, "collectives": 0},
        **{"flops": 197e9, "bytes": 1.5 * 819e6},
    }
    assert compiled.exceeded(within, target) == []
    over = within | {"temporary_bytes": 2**34, "bytes": 3 * 819e6, "gathers": 2}
    expected = ["memory", "memory's time 3.0 x arithmetic's", "2 gathers"]
    assert compiled.exceeded(over, target) == expected
    assert compiled.exceeded(within | {"flops": None, "bytes": None}, target) == []


@pytest.mark.parametrize("program", [p for p in compiled.PROGRAMS if p.name.startswith("MLP")])
def test_programs_can_be_lowered_for_any_accelerator(program):
    function, arguments = compiled.traced(program)
    text = jax.export.export(jax.jit(function), platforms=["tpu"])(*arguments).mlir_module()
    assert text.count("stablehlo.while") == (program.steps > 1) + (program.sites > 1)


def test_without_a_compiler_it_says_so(monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    result = compiled.run(SimpleNamespace(cases="MLP"))
    assert result["programs"] == []
    assert len(result["skipped"]) == 2
    assert "TPU v5e: skipped, no compiler: pip install 'fl_jax[tpu]'" in capsys.readouterr().out


KERNELS = {
    "TPU v5e": {"demo's ResNet, 16 x 128 px: step": 240, "MLP, 32 x 32 px: step": 22},
    "H100": {"demo's ResNet, 16 x 128 px: step": 175, "MLP, 32 x 32 px: step": 20},
}
"""The most kernels of a step: a tenth above those in `launch/benchmarks/README.md`."""


@pytest.fixture(scope="module")
def lines():
    command = "-m launch.benchmark --suite=compiled --json --cases=(demo|MLP).*:.step$"
    done = subprocess.run(
        [sys.executable, *command.split()],
        cwd=ROOT,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=True,
    )
    programs = json.loads(done.stdout)["programs"]
    return {(line["target"], line["program"]): line for line in programs}


@pytest.mark.slow
@pytest.mark.parametrize("target", targets.TARGETS, ids=lambda target: target.name)
def test_main_figures(target, request):
    if target.missing():
        pytest.skip(target.missing())
    lines = request.getfixturevalue("lines")
    for name, most in KERNELS[target.name].items():
        line = lines[target.name, name]
        assert line["kernels"] <= most
        assert line["loops"] == line["collectives"] == 0
        assert "memory" not in line["exceeded"]
