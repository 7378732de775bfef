"""What the benchmarks share: a stack of their own, its stores on disk, and Markdown to print."""

import json
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil

from muniment.datafolder import DataFolder
from muniment.process import free_port

PROJECT = "bench"


@dataclass(frozen=True)
class Stack:
    """A running `muniment up`. ``process`` is the one above all others."""

    url: str
    chroma_url: str
    process: psutil.Process


@contextmanager
def running_stack(data: Path, *trees: Path) -> Iterator[Stack]:
    """`muniment up` on a data folder, for projects below ``trees``; ended with the block."""
    muniment, where = [sys.executable, "-m", "muniment.cli"], ["--data-dir", str(data)]
    roots = [part for tree in trees for part in ("--root", str(tree))]
    up = [*muniment, "up", *where, "--port", str(free_port()), *roots, "--detach"]
    subprocess.run(up, check=True, stdout=subprocess.DEVNULL)
    try:
        state = json.loads(DataFolder(data).stack_state.read_text())
        yield Stack(state["url"], state["chroma_url"], psutil.Process(state["pid"]))
    finally:
        subprocess.run([*muniment, "down", *where], check=True, stdout=subprocess.DEVNULL)


def allocated(*tops: Path) -> int:
    """Bytes that the files below take on disk; symbolic links are not followed, what vanishes meanwhile counts 0."""
    total = 0
    for top in tops:
        for path in (top, *top.rglob("*")) if top.exists() else ():
            try:
                total += path.lstat().st_blocks * 512
            except FileNotFoundError:
                continue
    return total


def bytes_on_disk(data: Path) -> dict[str, int]:
    """Allocated bytes by store, write-ahead logs included."""
    folder = DataFolder(data)
    projects = [folder.project(path.name) for path in data.glob("projects/*")]
    return {
        "manifest": sum(allocated(*project.path.glob(f"{project.manifest.name}*")) for project in projects),
        "lexical": sum(allocated(project.lexical) for project in projects),
        "chroma": allocated(folder.chroma),
        "redis": allocated(folder.redis),
        "memories": allocated(*data.glob(f"{folder.memories_db.name}*")),
    }


def machine_line() -> str:
    memory = psutil.virtual_memory().total / 2**30
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {platform.system()} {platform.machine()}, {psutil.cpu_count()} cores, "
        f"{memory:.0f} GB, Python {platform.python_version()}"
    )


def print_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for row in rows:
        print(f"| {' | '.join(row)} |")
    print(flush=True)


def percentile(seconds: Sequence[float], percent: int) -> float:
    """In seconds; needs two values or more."""
    return statistics.quantiles(seconds, n=100, method="inclusive")[percent - 1]


def percentiles(seconds: Sequence[float], *percents: int) -> str:
    if len(seconds) < 2:
        return "-"
    cuts = " / ".join(f"{percentile(seconds, percent) * 1000:.0f}" for percent in percents)
    return f"{cuts} ms ({len(seconds)} calls)"


def megabytes(size: float) -> str:
    return f"{size / 1e6:,.0f} MB" if size >= 1e7 else f"{size / 1e6:.1f} MB"
