"""Jobs as those meet them who ask for work, stop it, or lose a process: latencies, recovery, throughput.

    python benchmarks/jobs.py TREE [--rounds N] [--tiny N] [--clients N]

TREE is large enough to be indexed for a minute; it is indexed as three projects. Prints Markdown tables.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import psutil
from stack import Stack, machine_line, percentiles, print_table, running_stack

LOOK = 0.005  # seconds between two looks at something that is waited for
PATIENCE = 300.0
POLLS = 10  # of each client
VICTIMS = ("work horse", "RQ worker", "supervisor", "all of them")


class Server:
    """The REST of a running stack."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        limits = httpx.Limits(max_connections=200, max_keepalive_connections=200)
        self.http = httpx.AsyncClient(base_url=f"{stack.url}/api/v1", timeout=60.0, limits=limits)

    async def get(self, route: str, **params: Any) -> Any:
        answer = await self.http.get(route, params=params)
        return answer.raise_for_status().json()

    async def post(self, route: str, **body: Any) -> Any:
        answer = await self.http.post(route, json=body)
        return answer.raise_for_status().json()

    async def init(self, name: str, folder: Path) -> str:
        made = await self.post("/projects", name=name, watch_paths=[str(folder)], watch=False)
        return str(made["job_id"])

    async def job(self, job_id: str) -> dict[str, Any]:
        return dict(await self.get(f"/jobs/{job_id}"))

    async def queue(self, project: str) -> dict[str, Any]:
        return dict((await self.get("/queues", project=project))["items"][0])

    async def until(self, job_id: str, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        return await until(lambda: self.job(job_id), wanted)

    async def ended(self, job_id: str) -> dict[str, Any]:
        return await self.until(job_id, lambda job: job["status"] in ("completed", "failed", "cancelled"))


async def until(look: Callable[[], Awaitable[dict[str, Any]]], wanted: Callable[[dict[str, Any]], bool]) -> Any:
    deadline = time.perf_counter() + PATIENCE
    while not wanted(seen := await look()):
        if time.perf_counter() > deadline:
            raise TimeoutError(str(seen))
        await asyncio.sleep(LOOK)
    return seen


async def timed(action: Awaitable[Any], into: list[float]) -> Any:
    began = time.perf_counter()
    result = await action
    into.append(time.perf_counter() - began)
    return result


def between(job: dict[str, Any], first: str, last: str) -> float:
    return (datetime.fromisoformat(job[last]) - datetime.fromisoformat(job[first])).total_seconds()


def shown(seconds: Sequence[float]) -> list[str]:
    return [f"{statistics.median(seconds):.2f} s", f"{min(seconds):.2f} to {max(seconds):.2f} s", str(len(seconds))]


def tiny_trees(folder: Path, name: str, number: int) -> list[Path]:
    trees = [folder / f"{name}-{place}" for place in range(number)]
    for tree in trees:
        tree.mkdir()
        (tree / "only.py").write_text(f"def of_{tree.name.replace('-', '_')}():\n    return '{tree.name}'\n")
    return trees


async def answers(server: Server, trees: Sequence[Path]) -> list[list[str]]:
    """What a client waits for while three large passes run."""
    asked: list[float] = []
    await asyncio.gather(*(timed(server.init(tree.name, tree), asked) for tree in trees))
    spread: list[float] = []

    async def one_client(place: int) -> None:
        await asyncio.sleep(place / len(trees))  # one a second each, not all in one instant
        for _ in range(3):
            _, pause = await asyncio.gather(
                timed(server.init(trees[place].name, trees[place]), spread), asyncio.sleep(1.0)
            )
            del pause

    await asyncio.gather(*(one_client(place) for place in range(len(trees))))
    return [
        [f"init_project, {len(trees)} clients in one instant", percentiles(asked, 50, 95, 99)],
        [f"init_project, {len(trees)} clients, one call a second each", percentiles(spread, 50, 95, 99)],
    ]


async def polls(server: Server, job_id: str, clients: int) -> list[list[str]]:
    """What a client waits for that looks once a second, of many that look at the same; one kind after the other."""
    asked: dict[str, tuple[str, dict[str, Any]]] = {
        "the job": (f"/jobs/{job_id}", {}),
        "the list of 50 jobs": ("/jobs", {"limit": 50}),
        "the project's queue": ("/queues", {"project": "one"}),
    }
    rows = []
    for what, question in asked.items():
        polled: list[float] = []

        async def one_client(
            place: int, question: tuple[str, dict[str, Any]] = question, polled: list[float] = polled
        ) -> None:
            route, params = question
            await asyncio.sleep(place / clients)
            for _ in range(POLLS):
                await asyncio.gather(timed(server.get(route, **params), polled), asyncio.sleep(1.0))

        await asyncio.gather(*(one_client(place) for place in range(clients)))
        rows.append([f"{what}, {clients} clients", percentiles(polled, 50, 95, 99)])
    every: list[float] = []
    for _ in range(POLLS):
        await timed(server.get("/queues"), every)
    rows.append(["the queues of all projects, one client", percentiles(every, 50, 95, 99)])
    return rows


async def stops(server: Server, name: str, job_id: str, rounds: int) -> list[list[str]]:
    """From the call until the worker has let go of the project; then until it works again."""
    paused: list[float] = []
    resumed: list[float] = []
    cancelled: list[float] = []

    async def let_go(route: str, into: list[float], **body: Any) -> None:
        async def action() -> None:
            await server.post(route, **body)
            await until(lambda: server.queue(name), lambda queue: not queue["holder"] and not queue["draining"])

        await timed(action(), into)

    async def go_on() -> None:
        await server.post(f"/jobs/{job_id}/resume")
        await server.until(job_id, lambda job: job["status"] == "running")

    for _ in range(rounds):
        await server.until(job_id, lambda job: job["status"] == "running" and job["phase"] != "scan")
        await let_go(f"/jobs/{job_id}/pause", paused)
        await timed(go_on(), resumed)
    for _ in range(rounds):
        await server.until(job_id, lambda job: job["status"] == "running" and job["phase"] != "scan")
        await let_go(f"/jobs/{job_id}/cancel", cancelled, confirm=True)
        job_id = (await server.post(f"/jobs/{job_id}/retry"))["job_id"]
    await server.post(f"/jobs/{job_id}/cancel", confirm=True)
    named = {"pause": paused, "resume": resumed, "cancel": cancelled}
    return [[what, *shown(seconds)] for what, seconds in named.items()]


def others_are_done(queues: dict[str, Any]) -> bool:
    return all(queue["project"] == "one" or not (queue["depth"] or queue["holder"]) for queue in queues["items"])


def victims(stack: Stack, kind: str) -> list[psutil.Process]:
    """The supervisor, the RQ worker below it, and its horse, or one of them; the first project's."""
    supervisor = next(one for one in stack.process.children() if "muniment_worker" in " ".join(one.cmdline()))
    worker = next(one for one in supervisor.children() if one.children())
    found = {"work horse": worker.children()[:1], "RQ worker": [worker], "supervisor": [supervisor]}
    return found.get(kind, [supervisor, worker, *worker.children()])


async def recovery(server: Server, name: str, rounds: int) -> list[list[str]]:
    """From the kill until the job runs again."""
    rows = []
    for kind in VICTIMS:
        seconds: list[float] = []
        for _ in range(rounds):
            job_id = (await server.post(f"/projects/{name}/jobs", kind="reindex"))["job_id"]
            job = await server.until(job_id, lambda job: job["status"] == "running" and job["phase"] == "lexical")
            attempt = job["attempt"]
            for process in victims(server.stack, kind):
                process.kill()
            again = server.until(job_id, lambda job, before=attempt: job["attempt"] > before)  # type: ignore[misc]
            await timed(again, seconds)
            await server.post(f"/jobs/{job_id}/cancel", confirm=True)
            await until(lambda: server.queue(name), lambda queue: not queue["holder"])
        rows.append([f"{kind} killed", *shown(seconds)])
    return rows


async def small_jobs(server: Server, folder: Path, rounds: int, tiny: int) -> list[list[str]]:
    cold: list[float] = []
    for fresh in tiny_trees(folder, "fresh", rounds):
        job = await server.ended(await server.init(fresh.name, fresh))
        cold.append(between(job, "created_at", "started_at"))
    [tree] = tiny_trees(folder, "small", 1)
    await server.ended(await server.init("small", tree))
    running, whole = [], []
    for _ in range(rounds):
        (tree / "only.py").write_text(f"def changed():\n    return {time.time()}\n")
        began = time.perf_counter()
        job = await server.ended((await server.post("/projects/small/jobs", kind="reconcile"))["job_id"])
        whole.append(time.perf_counter() - began)
        running.append(between(job, "created_at", "started_at"))
    trees = tiny_trees(folder, "many", tiny)
    began = time.perf_counter()
    jobs = [await server.init(one.name, one) for one in trees]
    for job_id in jobs:
        await server.ended(job_id)
    took = time.perf_counter() - began
    return [
        ["answer to running, first job of a server", f"{cold[0]:.2f} s", "", "1"],
        ["answer to running, first job of a project", *shown(cold[1:])],
        ["answer to running, its worker there", *shown(running)],
        ["a project of one file, changed, from the call to its end", *shown(whole)],
        [f"{tiny} projects of one file, each its first job", f"{tiny / took:.1f} jobs/s", f"{took:.1f} s", "1"],
    ]


async def measure(stack: Stack, tree: Path, folder: Path, rounds: int, tiny: int, clients: int) -> None:
    server = Server(stack)
    head = ["seconds", "median", "least to most", "calls"]
    print_table(head, await small_jobs(server, folder, rounds, tiny))
    large = {name: await server.init(name, tree) for name in ("one", "two", "three")}
    for job_id in large.values():
        await server.until(job_id, lambda job: job["status"] == "running" and job["phase"] != "scan")
    rows = await answers(server, tiny_trees(folder, "client", 50))
    print_table(["while three large passes run", "p50 / p95 / p99"], rows)
    for name in ("two", "three"):
        await server.post(f"/jobs/{large[name]}/cancel", confirm=True)
    await until(lambda: server.get("/queues"), others_are_done)  # they hold the slots that a resumed job needs
    print_table(["while one large pass runs", "p50 / p95 / p99"], await polls(server, large["one"], clients))
    print_table(head, await stops(server, "one", large["one"], rounds))
    print_table(head, await recovery(server, "one", max(3, rounds // 3)))
    await server.http.aclose()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tree", type=Path)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--tiny", type=int, default=200)
    parser.add_argument("--clients", type=int, default=20)
    given = parser.parse_args()
    tree = given.tree.resolve()
    print(f"{machine_line()}; {tree.name}\n")
    with tempfile.TemporaryDirectory(prefix="muniment-bench-") as name:
        folder = Path(name).resolve()
        (folder / "trees").mkdir()
        with running_stack(folder / "data", tree, folder / "trees") as stack:
            asyncio.run(measure(stack, tree, folder / "trees", given.rounds, given.tiny, given.clients))


if __name__ == "__main__":
    main()
