import pytest
from absl import app

from launch.cli import arguments


def test_an_argument_that_is_no_flag_is_named():
    arguments.only_flags(["program"])
    with pytest.raises(app.UsageError, match="unknown argument 'workdir=x': flags start with --"):
        arguments.only_flags(["program", "workdir=x", "y"])
