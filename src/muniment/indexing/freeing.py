"""Gives memory that is not used any more back to the system."""

import ctypes


def give_back_memory() -> bool:
    """False where the C library cannot be asked to (macOS, musl). Takes some milliseconds."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return trim is not None and bool(trim(ctypes.c_size_t(0)))
