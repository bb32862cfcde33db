"""Output in any encoding, to a reader that leaves early or to none, never ends a program with a traceback."""

import os
import subprocess
import sys

import pytest

PRINT = r"""
import launch
from absl import flags
from launch.cli import output
output.define_json_flag()
flags.FLAGS(["program", {json}])
output.show({result}, lambda: print("0.957\u2013\u22120.973 /data/\udcff"))
"""
TEXT = PRINT.format(json='"--nojson"', result="None")
MANY = PRINT.format(json='"--json"', result="['x' * 1000] * 1000")


def run(code, shell="", **environment):
    command = [sys.executable, "-c", code]
    if shell:
        command = ["bash", "-c", f'set -o pipefail; "$@" {shell}', "-", *command]
    environment = {**os.environ, **environment}
    return subprocess.run(command, capture_output=True, timeout=60, env=environment)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8", "cp1252"])
def test_characters_that_the_output_lacks_are_escaped(encoding):
    result = run(TEXT, PYTHONIOENCODING=encoding, PYTHONUTF8="0", LC_ALL="C")
    assert (result.returncode, result.stderr) == (0, b"")
    assert result.stdout.startswith(b"0.957")
    assert b"\\udcff" in result.stdout


@pytest.mark.parametrize("code", [TEXT, MANY])
@pytest.mark.parametrize("shell", ["| true", "| head -c 1 >&2", ">&-", ">&- 2>&- <&-"])
def test_a_reader_may_leave(code, shell):
    result = run(code, shell)
    assert result.returncode == 0
    assert len(result.stderr) <= 1


def test_a_library_that_prints_may_lose_its_reader_too():
    result = run("import launch\nfor _ in range(9**5): print('x' * 99)", "| true")
    assert result.stderr == b""


def test_messages_to_closed_standard_error_do_not_get_into_the_result():
    result = run("import launch, sys\nprint('a')\nprint('b', file=sys.stderr, flush=True)", "2>&-")
    assert (result.returncode, result.stdout) == (0, b"a\n")
