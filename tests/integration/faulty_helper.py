"""A helper whose parser kills it, or never returns, over certain texts: for the tests of the pool."""

import os
import signal
from pathlib import Path

from muniment.parsing import helper


def parse_file(request, max_file_bytes):
    text = Path(request.file.absolute).read_text()
    if not request.by_lines and "KILLS" in text:
        os.kill(os.getpid(), signal.SIGKILL)
    if not request.by_lines and "HANGS" in text:
        signal.pause()
    if "ALWAYS" in text:
        os._exit(1)
    return parse(request, max_file_bytes)


parse = helper.parse_file
helper.parse_file = parse_file
helper.main()
