"""A helper process: reads pickled groups of requests from its standard input, writes what became of them.

``python -m muniment.parsing.helper MAX_FILE_BYTES RULE_CACHE LOGGING PARENT_PID``. Only the process that started it can
speak to it. It ends with that process: by the death signal where the kernel has one, and at the end of its input.
"""

import os
import pickle
import signal
import sys
from pathlib import Path
from typing import BinaryIO

from muniment.logs import take_over
from muniment.masking import load_rules
from muniment.parsing.frames import read_frame, write_frame
from muniment.parsing.parsed import ReadRequest, parse_file
from muniment.process import die_with_parent, watch_parent


def serve(requests: BinaryIO, answers: BinaryIO, max_file_bytes: int) -> None:
    while (body := read_frame(requests)) is not None:
        group: list[ReadRequest] = pickle.loads(body)
        write_frame(answers, [parse_file(request, max_file_bytes) for request in group])


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal: the pass decides when to end
    most, rules, logging, parent = int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
    if not die_with_parent(parent):
        watch_parent(parent)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints must not look like an answer
    take_over(logging)
    if rules:
        load_rules(Path(rules))
    serve(sys.stdin.buffer, answers, most)


if __name__ == "__main__":
    main()
