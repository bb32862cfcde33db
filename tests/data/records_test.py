"""Opening records ends in an error where array_record's threads would wait for ever."""

import os
import re
import subprocess
import sys
import threading

import pytest

from fl_jax.data import records

CODE = """
import resource, sys
from fl_jax.data import records
import array_record.python.array_record_module
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + 2**28
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
try:
    records._start_threads()
except OSError as error:
    print(error)
"""


def test_threads_that_cannot_start_are_an_error():
    done = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, timeout=60, env=os.environ
    )
    assert re.match("array_record needs .* GiB .* 64 threads: raise .*ulimit -v", done.stdout)


def test_threads_that_do_not_start_in_time_are_an_error(monkeypatch):
    from array_record.python import array_record_module

    wait = threading.Event()
    monkeypatch.setattr(array_record_module, "ArrayRecordReader", lambda path: wait.wait(60))
    monkeypatch.setattr(records, "THREADS_WITHIN", 0.01)
    records._start_threads.cache_clear()
    with pytest.raises(OSError, match="cannot start its 64 threads"):
        records._start_threads()
    wait.set()
