import errno
import re
from concurrent.futures.process import BrokenProcessPool

import jax
import pytest

from launch.cli import errors


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), "memory ran out"),
        (jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: 9 GiB"), "memory ran out .*9 GiB"),
        (ImportError("x.so: failed to map segment from shared object"), "memory ran out .*x.so"),
        (BrokenProcessPool("abruptly"), "worker process was killed.*memory.*--workers"),
        (RuntimeError("can't start new thread"), "ulimit -u"),
        (
            RuntimeError("Could not determine home directory."),
            "begins with ~.*write the path in full",
        ),
        (OSError(errno.EMFILE, "Too many open files"), "ulimit -n"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "memory ran out"),
        (OSError(errno.EAGAIN, "Resource temporarily unavailable"), "ulimit -u"),
        (OSError(errno.ENOSPC, "No space left on device", "a.csv"), "a.csv .*disk is full"),
        (
            OSError(errno.EACCES, "Permission denied", "a/b"),
            "^a/b: this user may not .*permissions",
        ),
        (OSError(errno.ESTALE, "Stale file handle", "a/b"), "^a/b: its network drive .*mount it"),
        (
            OSError(errno.ENAMETOOLONG, "File name too long", "x" * 5000),
            "^x{296} ...: .*shorten it",
        ),
        (OSError(errno.EFBIG, "File too large", "a.csv"), "a.csv .*ulimit -f"),
    ],
)
def test_a_limit_of_the_system_is_named_with_the_remedy(error, words):
    message = errors.explain(error)
    assert message is not None
    assert re.search(words, message)


def test_a_fault_of_the_code_keeps_its_traceback():
    assert errors.explain(RuntimeError("unexpected")) is None
    assert errors.explain(KeyError("x")) is None


def test_missing_semaphores_are_named_with_the_remedy():
    module = {"__name__": "multiprocessing.synchronize"}
    with pytest.raises(OSError, match="No such file") as raised:
        exec("raise OSError(2, 'No such file or directory')", module)
    assert "/dev/shm" in (errors.explain(raised.value) or "")
