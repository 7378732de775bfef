"""Where the gateway's memory goes, step by step, in a process of its own; Linux only.

    python benchmarks/memory_use.py

Takes no servers: what an open index and questions add is for `indexing.py` and `clients.py` to tell.
"""

import tempfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from stack import machine_line, megabytes, print_table

from muniment.embedding import Embedder
from muniment.process import keep_heap_small

LIBRARIES = ("numpy", "redis", "rq", "tantivy", "chromadb", "fastapi", "uvicorn", "mcp", "apprise", "kingfisher_sdk")
LONG_TEXT = "the lease expires before the job does. " * 200


def resident() -> tuple[int, int]:
    """Bytes of this process in memory: all, and those that no file holds, which the system cannot take back."""
    told = [line.split() for line in Path("/proc/self/smaps_rollup").read_text().splitlines()]
    sizes = {name: int(size) * 1024 for name, size, unit, *_ in told if unit == "kB"}
    return sizes["Rss:"], sizes["Anonymous:"]


def steps(cache: Path) -> list[tuple[str, Callable[[], object]]]:
    def module(name: str) -> Callable[[], object]:
        return lambda: import_module(name)

    def static() -> object:
        return _used(import_module("muniment.embedding.static").StaticEmbedder())

    def minilm() -> object:
        return _used(import_module("muniment.embedding.minilm").MiniLmEmbedder())

    def rules() -> None:
        import_module("muniment.masking").load_rules(cache)

    return [
        *((f"import {name}", module(name)) for name in LIBRARIES),
        ("the rest of the gateway's modules", module("muniment_api.__main__")),
        ("static model of files", static),
        ("import onnxruntime", module("onnxruntime")),
        ("MiniLM of memories", minilm),
        ("rules for secrets (with the first pushed file)", rules),
    ]


def _used(embedder: Embedder) -> Embedder:
    embedder.embed(["warm up", LONG_TEXT])
    return embedder


def main() -> None:
    keep_heap_small()
    print(f"{machine_line()}\n")
    with tempfile.TemporaryDirectory() as cache:
        held = []
        before = resident()
        rows = [["this program", *map(megabytes, before), megabytes(before[0])]]
        for name, step in steps(Path(cache)):
            held.append(step())
            now = resident()
            more = (now[0] - before[0], now[1] - before[1])
            rows.append([name, *map(megabytes, more), megabytes(now[0])])
            before = now
    print_table(("step", "RSS", "of it anonymous", "RSS so far"), rows)


if __name__ == "__main__":
    main()
