# Makes .venv with the pinned versions, once; sourced by launch/demo.sh and tests/run.sh.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
stamp=.venv/stamp
want=$(cat pyproject.toml launch/constraints.txt | cksum)
if [ "$(cat "$stamp" 2>/dev/null)" != "$want" ]; then
    python=""
    for candidate in python3.13 python3.12 python3.11 python3 python; do
        if command -v "$candidate" >/dev/null &&
            "$candidate" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then
            python=$candidate
            break
        fi
    done
    if [ -z "$python" ]; then
        echo "fl_jax needs CPython 3.11 to 3.13 with venv; none was found on PATH" >&2
        exit 1
    fi
    echo "Setting up .venv with $("$python" --version) (once, a few minutes) ..."
    "$python" -m venv .venv
    .venv/bin/python -m pip install --quiet --disable-pip-version-check \
        --constraint launch/constraints.txt --editable '.[dev]'
    echo "$want" >"$stamp"
fi
