"""Programs: they parse flags, call `fl_jax.experiment` and print."""

import atexit
import io
import os
import sys
from types import TracebackType

# For every program and its child processes: TensorFlow only feeds data, so its start-up messages are noise.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")


def _forget_current_folder() -> None:
    """Takes the current folder, where `python -m` looks first, off the path: it may hold another `jax.py`.

    Unless the programs are in it. Child processes inherit this.
    """
    home = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    run_as_module = sys.argv[:1] == ["-m"] and not sys.flags.safe_path
    if run_as_module and os.path.realpath(sys.path[0]) != home:
        del sys.path[0]
        os.environ["PYTHONSAFEPATH"] = "1"


def _open_standard_streams() -> None:
    """Opens closed standard streams, else a checkpoint may get their number and a library's messages."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the smallest free number
    # Python has None for a stream that was closed. A terminal in Latin-1 or ASCII, or a file name that is not
    # UTF-8, must not end a program whose work is done: characters that cannot be written are escaped.
    for number, name in ((1, "stdout"), (2, "stderr")):
        stream = getattr(sys, name) or io.TextIOWrapper(io.FileIO(os.dup(number), "w"), "utf-8")
        setattr(sys, name, stream)
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _flush() -> None:
    """Ends without a complaint if the reader of the output, such as `head`, has closed it."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Reports Ctrl-C in a sentence; Python then ends by SIGINT, which shells need to end their loops.

    A `BrokenPipeError` that gets here is that of the output, see `_flush`.
    """
    if issubclass(kind, KeyboardInterrupt):
        print("interrupted: the same command continues from what is saved", file=sys.stderr)
    elif not issubclass(kind, BrokenPipeError):
        sys.__excepthook__(kind, error, trace)


_forget_current_folder()
_open_standard_streams()
atexit.register(_flush)
sys.excepthook = _report
