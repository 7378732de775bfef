"""What a pass does not need any more goes back to the system, where that can be asked for."""

import ctypes
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from muniment.process import give_back_memory

PIECES, PIECE_BYTES = 40_000, 1_000


def resident_bytes() -> int:
    rollup = Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in rollup if line.startswith("Rss:"))


@pytest.mark.skipif(sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="needs glibc")
def test_memory_that_was_freed_below_what_is_kept_goes_back() -> None:
    pieces = [bytes(PIECE_BYTES) for _ in range(PIECES)]
    kept = pieces[-1]
    del pieces
    before = resident_bytes()
    assert give_back_memory()
    assert before - resident_bytes() > PIECES * PIECE_BYTES / 2
    assert len(kept) == PIECE_BYTES


def test_a_system_that_cannot_be_asked_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: SimpleNamespace())
    assert not give_back_memory()
