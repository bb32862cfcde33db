"""A reader that ends its process on some files, as a faulty decoder does; reading processes import it."""

import os
import pathlib
import signal

from fl_jax.data import dicom


def read(path, **options):
    name = pathlib.Path(path).name
    if "killed" in name:
        os.kill(os.getpid(), signal.SIGKILL)
    if "segfault" in name:
        os.kill(os.getpid(), signal.SIGSEGV)
    if "once" in name and not (mark := pathlib.Path(path + ".met")).exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return dicom.read(path, **options)
