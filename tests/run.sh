#!/usr/bin/env bash
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
case "${1:-}" in
-h | --help)
    cat <<'EOF'
usage: bash tests/run.sh [--quick | PYTEST_ARGUMENTS...]

  (nothing)               lint, types and every test but the slow ones
  --quick                 in under 90 seconds: lint, types, architecture, the contracts of one
                          algorithm and one aggregator, one tiny experiment from data to report
  -m slow                 lint, types and the slow tests: hours
  tests/core -k mesh      lint, types and some of the tests

The first call creates .venv with the versions of launch/constraints.txt. Arguments go to pytest; paths are
relative to the repository. FL_JAX_TEST_WORKERS sets the number of worker processes, by default one a core.
JAX_COMPILATION_CACHE_DIR keeps compiled programs for the next call.
EOF
    exit
    ;;
esac
source "$here/../launch/setup.sh"
cd "$root"
.venv/bin/ruff format --check --quiet .
.venv/bin/ruff check --quiet .
.venv/bin/pyright >.venv/pyright.log &
types=$!
status=0
if [ "${1:-}" = --quick ]; then
    shift
    "$python" -m pytest tests/architecture_test.py tests/code_test.py tests/contract_test.py \
        tests/quick_test.py -k "not contract_test or fed_avg-weighted_mean" -m "not slow" "$@" || status=$?
else
    "$python" -m pytest -n "${FL_JAX_TEST_WORKERS:-auto}" --dist loadfile --no-loadscope-reorder \
        -m "not slow" "$@" || status=$?
fi
wait "$types" || { cat .venv/pyright.log; status=1; }
exit "$status"
