"""The main job as its users meet it: `muniment up`, an official MCP client, a real tree, questions while it indexes.

    python benchmarks/main_job.py TREE [--question TEXT ...]

Prints a Markdown table: answer of init_project, first hit, lexically complete, complete, latencies meanwhile, memory of
each process, and a second pass over the unchanged tree.
"""

import argparse
import asyncio
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from muniment.process import free_port

PROJECT = "bench"
SEARCH_PAUSE = 0.25
STORE_PAUSE = 1.0


@dataclass
class Figures:
    rows: dict[str, str] = field(default_factory=dict)
    searches: list[float] = field(default_factory=list)
    stores: list[float] = field(default_factory=list)
    memory: dict[str, int] = field(default_factory=dict)


def percentiles(seconds: list[float]) -> str:
    if len(seconds) < 2:
        return "-"
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return f"{cuts[49] * 1000:.0f} / {cuts[94] * 1000:.0f} ms ({len(seconds)} calls)"


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    if result.is_error:
        raise RuntimeError(f"{tool}: {result.content}")
    return dict(result.structured_content or {})


def note_memory(root: psutil.Process, peaks: dict[str, int]) -> None:
    """Peak resident bytes by role; the work horse is the grandchild of the worker service."""
    for process in root.children(recursive=True):
        try:
            words = process.cmdline()
            size = process.memory_info().rss
            generation = len([up for up in process.parents() if "muniment_worker" in up.cmdline()])
        except psutil.Error:
            continue
        role = next(
            (word for word in words if word.startswith(("muniment_", "muniment.stack"))), words[0] if words else "?"
        )
        if role == "muniment_worker" and generation:
            role += " (work horse)" if generation > 1 else " (queue)"
        role = Path(role).name
        peaks[role] = max(peaks.get(role, 0), size)


async def repeat(action: Callable[[], Awaitable[Any]], into: list[float], pause: float) -> None:
    while True:
        began = time.perf_counter()
        await action()
        into.append(time.perf_counter() - began)
        await asyncio.sleep(pause)


async def follow(
    client: Client, job_id: str, began: float, figures: Figures | None, root: psutil.Process
) -> dict[str, Any]:
    """Until the job has ended; notes when the tree was lexically complete."""
    while True:
        status = await call(client, "index_status", project=PROJECT)
        coverage, job = status["coverage"], await call(client, "get_job_status", job_id=job_id)
        if figures is not None:
            note_memory(root, figures.memory)
            if job["phase"] in ("vectors", "finish") and "lexically complete" not in figures.rows:
                size = f"{coverage['files_lexical']} files, {coverage['chunks']} chunks"
                figures.rows["lexically complete"] = f"{time.perf_counter() - began:.1f} s ({size})"
        if job["status"] in ("completed", "failed", "cancelled"):
            return job
        await asyncio.sleep(0.2)


async def measure(url: str, tree: str, questions: list[str], root: psutil.Process) -> Figures:
    figures = Figures()
    async with (
        Client(streamable_http_client(f"{url}/mcp")) as client,
        Client(streamable_http_client(f"{url}/mcp")) as searcher,
        Client(streamable_http_client(f"{url}/mcp")) as writer,
    ):
        await call(client, "list_projects")
        began = time.perf_counter()
        started = await call(client, "init_project", project=PROJECT, watch_paths=[tree], watch=False)
        figures.rows["answer of init_project"] = f"{(time.perf_counter() - began) * 1000:.0f} ms"
        while not (await call(searcher, "search_code", project=PROJECT, query=questions[0]))["results"]:
            await asyncio.sleep(0.02)
        figures.rows["first hit"] = f"{time.perf_counter() - began:.1f} s"
        turn = iter(range(10**9))
        busy = [
            asyncio.create_task(
                repeat(
                    lambda: call(
                        searcher, "search_code", project=PROJECT, query=questions[next(turn) % len(questions)]
                    ),
                    figures.searches,
                    SEARCH_PAUSE,
                )
            ),
            asyncio.create_task(
                repeat(
                    lambda: call(
                        writer, "store_memory", project=PROJECT, content=f"Decision {time.time_ns()} was made."
                    ),
                    figures.stores,
                    STORE_PAUSE,
                )
            ),
        ]
        job = await follow(client, started["job_id"], began, figures, root)
        figures.rows["complete"] = (
            f"{time.perf_counter() - began:.1f} s, {job['status']}, skipped {job['files']['skipped']}"
        )
        for task in busy:
            task.cancel()
        await asyncio.gather(*busy, return_exceptions=True)
        began = time.perf_counter()
        again = await call(client, "start_indexing", project=PROJECT)
        await follow(client, again["job_id"], began, None, root)
        figures.rows["second pass, nothing changed"] = f"{time.perf_counter() - began:.1f} s"
        idle: list[float] = []
        for number in range(100):
            asked = time.perf_counter()
            await call(searcher, "search_code", project=PROJECT, query=questions[number % len(questions)])
            idle.append(time.perf_counter() - asked)
        figures.rows["search while it indexes, p50 / p95"] = percentiles(figures.searches)
        figures.rows["store_memory while it indexes, p50 / p95"] = percentiles(figures.stores)
        figures.rows["search afterwards, p50 / p95"] = percentiles(idle)
        for question in questions:
            found = await call(searcher, "search_code", project=PROJECT, query=question, limit=5)
            figures.rows[f"“{question}”"] = ", ".join(f"`{hit['path']}`" for hit in found["results"][:3])
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tree", type=Path)
    parser.add_argument(
        "--question", action="append", default=None, help="asked during and after indexing; may be repeated"
    )
    given = parser.parse_args()
    questions = given.question or [
        "how does kubelet evict pods under memory pressure",
        "NewReconciler",
        "scheduler pod affinity scoring",
        "graceful node shutdown",
    ]
    with tempfile.TemporaryDirectory(prefix="muniment-bench-") as folder:
        port = free_port()
        muniment = [sys.executable, "-m", "muniment.cli"]
        where = ["--data-dir", folder]
        tree = str(given.tree.resolve())
        up = [*muniment, "up", *where, "--port", str(port), "--root", tree, "--detach"]
        subprocess.run(up, check=True, stdout=subprocess.DEVNULL)
        try:
            pid = json.loads((Path(folder) / "stack.json").read_text())["pid"]
            figures = asyncio.run(measure(f"http://127.0.0.1:{port}", tree, questions, psutil.Process(pid)))
            on_disk = {
                name: sum(path.stat().st_size for path in (Path(folder) / name).rglob("*") if path.is_file())
                for name in ("projects", "chroma")
            }
        finally:
            subprocess.run([*muniment, "down", *where], check=True, stdout=subprocess.DEVNULL)
    print(f"{platform.system()} {platform.machine()}, {psutil.cpu_count()} cores, Python {platform.python_version()}\n")
    print("| what | seen |\n|---|---|")
    for name, value in figures.rows.items():
        print(f"| {name} | {value} |")
    for role, size in sorted(figures.memory.items(), key=lambda item: -item[1]):
        print(f"| peak RSS of {role} | {size / 1e6:.0f} MB |")
    for name, size in on_disk.items():
        print(f"| on disk, {name} | {size / 1e6:.0f} MB |")


if __name__ == "__main__":
    main()
