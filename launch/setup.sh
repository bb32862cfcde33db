# Creates .venv with the pinned versions, once; sourced by launch/demo.sh and tests/run.sh.
# Sets $root, the repository, and $python, the interpreter in .venv; the caller's directory stays the current one.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=$root/.venv/bin/python
stamp=$root/.venv/stamp
want=$(cat "$root/pyproject.toml" "$root/launch/constraints.txt" | cksum)
if [ "$(cat "$stamp" 2>/dev/null)" != "$want" ]; then
    base=""
    for candidate in python python3 python3.13 python3.12 python3.11; do
        if command -v "$candidate" >/dev/null &&
            "$candidate" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then
            base=$candidate
            break
        fi
    done
    if [ -z "$base" ]; then
        echo "fl_jax needs CPython 3.11 to 3.13 with venv; PATH has none" >&2
        exit 1
    fi
    echo "Setting up .venv with $("$base" --version) (once, a few minutes) ..."
    "$base" -m venv "$root/.venv"
    (cd "$root" && "$python" -m pip install --quiet --disable-pip-version-check \
        --constraint launch/constraints.txt --editable '.[dev]')
    echo "$want" >"$stamp"
fi
