"""The flags `--config` and `--workdir`, with errors in one line and a help that lists every field."""

import re
import sys

from absl import flags
from ml_collections import config_flags

from fl_jax.experiment import config
from launch.cli import output

HELP = {"-h", "-help", "--help", "--helpfull", "-helpfull", "--helpshort", "-helpshort"}


def define() -> None:
    """Defines both flags as required."""
    config_flags.DEFINE_config_file("config", None, "The experiment, a file in configs/.")
    flags.DEFINE_string("workdir", None, "Folder for everything that the program writes.")
    flags.mark_flags_as_required(["config", "workdir"])
    output.define_json_flag()


def parse(argv: list[str]) -> list[str]:
    """Parses the flags of a program whose config is a `Config`; for `absl.app.run`.

    Args:
        argv: the program and its arguments.

    Returns:
        The arguments that are not flags.
    """
    if HELP & set(argv):
        print(_help())
        sys.exit(0)
    try:
        for argument in argv[1:]:
            named = re.match(r"--?(?:no)?config\.([\w.]+)", argument)
            if named:
                config.check_name(named[1])
        rest = flags.FLAGS(argv)
        flags.FLAGS.config.keys()  # raises if its file could not be loaded
    except (flags.Error, ValueError, TypeError, OSError) as error:
        sys.exit(f"error: {_one_line(error)}")
    if len(rest) > 1:
        sys.exit(f"error: unknown argument {rest[1]!r}: flags start with --")
    return rest


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    of_field = re.match(r"flag --config\.([\w.]+)=(.*?): ", text)
    if of_field:
        return f"config.{of_field[1]}={of_field[2]!r}: must be {config.allowed(of_field[1])}"
    return text


def _help() -> str:
    main = sys.modules["__main__"]
    defined = flags.FLAGS.get_key_flags_for_module(main)
    named = [f"  --{flag.name}={flag.default!r}\n      {flag.help}" for flag in defined]
    lines = ["", "Flags:", *named, "", "Fields of the config, with their defaults:", ""]
    return "\n".join([str(main.__doc__).strip(), *lines, config.describe()])
