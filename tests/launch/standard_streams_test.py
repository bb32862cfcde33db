import subprocess
import sys


def test_no_file_gets_the_number_of_a_closed_standard_stream():
    code = "import os, launch; os._exit(os.open(os.devnull, os.O_RDONLY))"
    command = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", sys.executable, "-c", code]
    assert subprocess.run(command).returncode > 2
