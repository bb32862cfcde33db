#!/usr/bin/env bash
# The study in one command: set-up, then cohort, training, evaluation and report.
# Any flag of launch.study may follow, e.g. --config.rounds=3 or --workdir=DIR.
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
exec .venv/bin/python -m launch.study --config=configs/demo.py --workdir=runs/demo "$@"
