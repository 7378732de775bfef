"""What a process keeps of memory that it has freed."""

import subprocess
import sys

import pytest

MEASURED = """
import re, sys
from pathlib import Path
from muniment.process import keep_heap_small

def anonymous():
    return int(re.search(r"RssAnon:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024

if sys.argv[1] == "small":
    keep_heap_small()
large = bytearray(24 << 20)
del large  # glibc takes it as a hint to get what is smaller from its heap, and to keep twice as much there
before = anonymous()
pieces = [bytearray(1 << 20) for _ in range(30)]
del pieces
print(anonymous() - before)
"""


def kept_megabytes(how: str) -> int:
    ran = subprocess.run([sys.executable, "-c", MEASURED, how], check=True, capture_output=True, text=True)
    return int(ran.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's own")
def test_memory_that_was_freed_is_given_back() -> None:
    assert kept_megabytes("as it is") > 20
    assert kept_megabytes("small") < 10
