"""The main job as its users meet it: `muniment up`, an official MCP client, a real tree, questions while it indexes.

    python benchmarks/main_job.py TREE [--question TEXT ...]

Prints a Markdown table: answer of init_project, first hit, lexically complete, complete, latencies meanwhile, memory of
each process, and a second pass over the unchanged tree.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from processes import ProcessSampler
from stack import PROJECT, bytes_on_disk, machine_line, megabytes, percentiles, print_table, running_stack

SEARCH_PAUSE = 0.25
STORE_PAUSE = 1.0


@dataclass
class Figures:
    rows: dict[str, str] = field(default_factory=dict)
    searches: list[float] = field(default_factory=list)
    stores: list[float] = field(default_factory=list)


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    if result.is_error:
        raise RuntimeError(f"{tool}: {result.content}")
    return dict(result.structured_content or {})


async def repeat(action: Callable[[], Awaitable[Any]], into: list[float], pause: float) -> None:
    while True:
        began = time.perf_counter()
        await action()
        into.append(time.perf_counter() - began)
        await asyncio.sleep(pause)


async def follow(client: Client, job_id: str, began: float, figures: Figures | None) -> dict[str, Any]:
    """Until the job has ended; notes when the tree was lexically complete."""
    while True:
        status = await call(client, "index_status", project=PROJECT)
        coverage, job = status["coverage"], await call(client, "get_job_status", job_id=job_id)
        if figures is not None and job["phase"] in ("vectors", "finish"):
            size = f"{coverage['files_lexical']} files, {coverage['chunks']} chunks"
            figures.rows.setdefault("lexically complete", f"{time.perf_counter() - began:.1f} s ({size})")
        if job["status"] in ("completed", "failed", "cancelled"):
            return job
        await asyncio.sleep(0.2)


async def search(client: Client, question: str, **options: Any) -> list[dict[str, Any]]:
    answer = await call(client, "search_code", project=PROJECT, query=question, **options)
    results: list[dict[str, Any]] = answer["results"]
    return results


async def first_pass(
    client: Client, searcher: Client, writer: Client, tree: str, questions: list[str], figures: Figures
) -> None:
    """From init_project to the last vector, with questions and memories from the first hit on."""
    began = time.perf_counter()
    started = await call(client, "init_project", project=PROJECT, watch_paths=[tree], watch=False)
    figures.rows["answer of init_project"] = f"{(time.perf_counter() - began) * 1000:.0f} ms"
    while not await search(searcher, questions[0]):
        await asyncio.sleep(0.02)
    figures.rows["first hit"] = f"{time.perf_counter() - began:.1f} s"
    turn = cycle(questions)

    async def remember() -> None:
        await call(writer, "store_memory", project=PROJECT, content=f"Decision {time.time_ns()} was made.")

    busy = [
        asyncio.create_task(repeat(lambda: search(searcher, next(turn)), figures.searches, SEARCH_PAUSE)),
        asyncio.create_task(repeat(remember, figures.stores, STORE_PAUSE)),
    ]
    job = await follow(client, started["job_id"], began, figures)
    seconds, skipped = time.perf_counter() - began, job["files"]["skipped"]
    figures.rows["complete"] = f"{seconds:.1f} s, {job['status']}, skipped {skipped}"
    for task in busy:
        task.cancel()
    await asyncio.gather(*busy, return_exceptions=True)


async def measure(url: str, tree: str, questions: list[str]) -> Figures:
    figures = Figures()
    async with (
        Client(streamable_http_client(f"{url}/mcp")) as client,
        Client(streamable_http_client(f"{url}/mcp")) as searcher,
        Client(streamable_http_client(f"{url}/mcp")) as writer,
    ):
        await call(client, "list_projects")
        await first_pass(client, searcher, writer, tree, questions, figures)
        began = time.perf_counter()
        again = await call(client, "start_indexing", project=PROJECT)
        await follow(client, again["job_id"], began, None)
        figures.rows["second pass, nothing changed"] = f"{time.perf_counter() - began:.1f} s"
        idle: list[float] = []
        for question in islice(cycle(questions), 100):
            asked = time.perf_counter()
            await search(searcher, question)
            idle.append(time.perf_counter() - asked)
        figures.rows["search while it indexes, p50 / p95"] = percentiles(figures.searches, 50, 95)
        figures.rows["store_memory while it indexes, p50 / p95"] = percentiles(figures.stores, 50, 95)
        figures.rows["search afterwards, p50 / p95"] = percentiles(idle, 50, 95)
        for question in questions:
            found = await search(searcher, question, limit=5)
            figures.rows[f"“{question}”"] = ", ".join(f"`{hit['path']}`" for hit in found[:3])
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
    tree = given.tree.resolve()
    with (
        tempfile.TemporaryDirectory(prefix="muniment-bench-") as folder,
        running_stack(Path(folder), tree) as stack,
        ProcessSampler(stack.process) as processes,
    ):
        figures = asyncio.run(measure(stack.url, str(tree), questions))
        on_disk = bytes_on_disk(Path(folder))
    rows = [
        *figures.rows.items(),
        *((f"peak RSS of {role}", megabytes(seen.rss)) for role, seen in processes.by_size()),
        *((f"on disk, {store}", megabytes(size)) for store, size in on_disk.items()),
    ]
    print(f"{machine_line()}\n")
    print_table(("what", "seen"), rows)


if __name__ == "__main__":
    main()
