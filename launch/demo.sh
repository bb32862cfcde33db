#!/usr/bin/env bash
# The study in one command: set-up, then cohort, training, evaluation and report.
#
#   bash launch/demo.sh [--workdir=DIR] [--config=FILE] [--config.FIELD=VALUE ...]
#
# Writes DIR/report.html; DIR is runs/demo in the current folder unless you say otherwise. Goes on where it
# was cut off. configs/demo.py sets a few of these fields; the values below are the defaults of the others.
here=$(dirname "${BASH_SOURCE[0]}")
for argument; do
    if [ "$argument" = --help ] || [ "$argument" = -h ]; then
        sed -n 's/^# \{0,1\}//p' "${BASH_SOURCE[0]}" | sed 1d
        python3 "$here/../fl_jax/experiment/config.py"
        exit 0
    fi
done
source "$here/setup.sh"
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}" # launch/ and configs/ lie there, whatever the folder
exec "$python" -m launch.experiment --config="$root/configs/demo.py" --workdir=runs/demo "$@"
