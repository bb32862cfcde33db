#!/usr/bin/env bash
# The whole experiment in one command: set-up, cohort, training, evaluation, report.
#
#   bash launch/demo.sh [--workdir=DIR] [--config=FILE] [--config.FIELD=VALUE ...]
#
# Writes DIR/report.html; DIR defaults to runs/demo in the current folder. The same command resumes an
# interrupted run. configs/demo.py sets a few of these fields; the values below are the defaults.
here=$(dirname "${BASH_SOURCE[0]}")
for argument; do
    if [ "$argument" = --help ] || [ "$argument" = -h ]; then
        sed -n 's/^# \{0,1\}//p' "${BASH_SOURCE[0]}" | sed 1d
        echo
        python3 "$here/../fl_jax/experiment/config.py"
        exit 0
    fi
done
source "$here/setup.sh"
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}" # launch/ and configs/ lie there, whatever the folder
exec "$python" -m launch.experiment --config="$root/configs/demo.py" --workdir=runs/demo "$@"
