#!/usr/bin/env bash
# Set-up, then lint, types and tests. Arguments go to pytest, e.g. -m slow or tests/round_test.py.
source "$(dirname "${BASH_SOURCE[0]}")/../launch/setup.sh"
cd "$root" # what is given to pytest is relative to the repository
.venv/bin/ruff format --check --quiet .
.venv/bin/ruff check --quiet .
.venv/bin/pyright >.venv/pyright.log || { cat .venv/pyright.log; exit 1; }
exec "$python" -m pytest -n "${FL_JAX_TEST_WORKERS:-auto}" --dist loadfile --no-loadscope-reorder -m "not slow" "$@"
