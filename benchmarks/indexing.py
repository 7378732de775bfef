"""How fast a tree is indexed, what it costs, and how search feels meanwhile; beside a peer, if asked.

    python benchmarks/indexing.py TREE [--peer semble] [--clients 20] [--question TEXT ...] [--keep-data DIR]

Runs `muniment up` on an empty data folder and indexes a copy of TREE (made below TMPDIR; it shares no hard link with
TREE, which stays as it is), while clients search once a second each. Then it indexes again: unchanged, with 1% of the
files changed, shifted by two lines, renamed. The copy has just been written, so files come from the system's cache.
Prints Markdown.
"""

import argparse
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path

import httpx
import peer
from changes import TreeChanges, copy_of
from clients import Clients, Heard
from passes import Api, Pass, another_pass, first_hit, follow, idle_latencies
from processes import ProcessSampler
from stack import (
    PROJECT,
    Stack,
    bytes_on_disk,
    machine_line,
    megabytes,
    percentile,
    percentiles,
    print_table,
    running_stack,
)

QUESTIONS = (
    "how are configuration files parsed",
    "retry after a connection error",
    "close the connection when the client disconnects",
    "convert bytes to text",
    "read a file line by line",
    "where are command line arguments validated",
    "write the cache to disk",
    "lock that protects shared state",
    "schedule a task to run later",
    "HTTP request handler",
    "compare two versions",
    "error when a file does not exist",
    "parse a date and time",
    "NewReader",
    "set_timeout",
    "unit test for the parser",
)
IDLE_SEARCHES = 200
NO_OPS = 3
CHECKED_WORDS = 25


@dataclass(frozen=True)
class FirstPass:
    answer: float
    hit: float | None
    run: Pass
    heard: Heard | None
    processes: ProcessSampler
    chunks: int
    files: int
    vectors: int
    idle: list[float]
    on_disk: dict[str, int]


def first_pass(stack: Stack, data: Path, tree: Path, questions: Sequence[str], count: int) -> FirstPass:
    api, ended = Api(stack.url), threading.Event()
    api.get("/projects")  # the connection is open: what is measured is the answer
    clients: AbstractContextManager[Clients | None] = (
        Clients(stack.url, count, [(PROJECT, question) for question in questions]) if count else nullcontext()
    )
    with clients as asking, ProcessSampler(stack.process) as processes, ThreadPoolExecutor(1) as beside:
        began = time.monotonic()
        started = api.post("/projects", name=PROJECT, watch_paths=[str(tree)], watch=False)
        answer = time.monotonic() - began
        then: Callable[[], None] = asking.go if asking else (lambda: None)
        hit = beside.submit(first_hit, stack.url, questions, began, ended, then)
        try:
            run = follow(api, started["job_id"], began, pause=0.2)
        finally:
            ended.set()
        processes.stop()
        heard = asking.stop() if asking else None
    coverage = api.get(f"/projects/{PROJECT}/status")["coverage"]
    idle = idle_latencies(api, questions, IDLE_SEARCHES)
    return FirstPass(
        answer,
        hit.result(),
        run,
        heard,
        processes,
        coverage["chunks"],
        coverage["files_lexical"],
        vectors_stored(stack),
        idle,
        bytes_on_disk(data),
    )


def vectors_stored(stack: Stack) -> int:
    """Distinct texts, as Chroma counts them."""
    top = f"{stack.chroma_url}/api/v2/tenants/default_tenant/databases/default_database/collections"
    return sum(int(httpx.get(f"{top}/{collection['id']}/count").json()) for collection in httpx.get(top).json())


def print_first_pass(first: FirstPass) -> None:
    run, job = first.run, first.run.job
    size = f"{first.files:,} files, {first.chunks:,} chunks"
    rows = [
        ("answer of init", f"{first.answer * 1000:.0f} ms"),
        ("first hit", f"{first.hit:.1f} s" if first.hit is not None else "-"),
        ("lexical complete", f"{run.reached['vectors']:.1f} s ({size})"),
        ("complete", f"{run.seconds:.1f} s ({first.vectors:,} distinct texts)"),
        ("scan", f"{run.lasted('scan'):.1f} s"),
        ("lexical stage", _rate(first.chunks, run.lasted("lexical"), "chunks")),
        ("vector stage", _rate(first.vectors, run.lasted("vectors"), "distinct texts")),
        ("whole pass", _rate(first.chunks, run.seconds, "chunks")),
        ("failed", str(job["files"]["failed"])),
        ("skipped", _counts(job["files"]["skipped"])),
        ("cut by lines in spite of a grammar", _counts(job["files"].get("by_lines", {}))),
        ("masked", _counts(job.get("masked", {}))),
        ("search afterwards, one client, p50 / p95 / p99", percentiles(first.idle, 50, 95, 99)),
    ]
    if job["attempt"] > 1:
        rows.append(("attempts", str(job["attempt"])))
    print_table(("first pass", "seen"), rows)


def _counts(by_reason: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in by_reason.items()) or "0"


def _rate(count: int, seconds: float, unit: str) -> str:
    return f"{seconds:.1f} s, {count / seconds:,.0f} {unit}/s" if seconds > 0 else "-"


def print_searches(first: FirstPass, count: int) -> None:
    heard, run = first.heard, first.run
    if heard is None:
        return
    lexical, end = run.began + run.reached["vectors"], run.began + run.seconds
    rows = [
        (name, percentiles(heard.between(start, stop), 50, 95, 99))
        for name, start, stop in (
            ("all", run.began, end),
            ("while lexical", run.began, lexical),
            ("while vectors", lexical, end),
        )
    ]
    share = heard.degraded / max(1, len(heard.answers))
    rows += [
        ("slowest", f"{max((seconds for _, seconds in heard.answers), default=0.0) * 1000:.0f} ms"),
        ("errors", _counts(heard.errors)),
        ("degraded (words alone)", f"{heard.degraded} ({share:.0%})"),
        ("without a result", str(heard.empty)),
        ("processor time of the clients", f"{heard.cpu_seconds:.1f} s"),
    ]
    print_table((f"search meanwhile, {count} clients, one question a second each, from the first hit on", "seen"), rows)


def print_processes(processes: ProcessSampler) -> None:
    rows = [
        (role, str(seen.most), megabytes(seen.rss), megabytes(seen.pss), f"{seen.cpu:.1f} s")
        for role, seen in processes.by_size()
    ]
    cpu = sum(seen.cpu for seen in processes.roles.values())
    rows += [
        ("worker and all below it, at once", "", "", megabytes(processes.indexing_together), ""),
        ("the whole stack, at once", "", "", megabytes(processes.all_together), f"{cpu:.1f} s"),
        ("(this sampling)", "", "", "", f"{processes.own_seconds:.1f} s"),
    ]
    print_table(("process, during the first pass", "at once", "peak RSS", "peak PSS", "processor time of all"), rows)


def print_disk(on_disk: dict[str, int]) -> None:
    rows = [(store, megabytes(size)) for store, size in on_disk.items()]
    print_table(("store", "on disk after the first pass"), [*rows, ("all", megabytes(sum(on_disk.values())))])


def no_op_passes(api: Api) -> list[Pass]:
    return [another_pass(api) for _ in range(NO_OPS)]


def changed_passes(api: Api, tree: Path, files: int) -> list[tuple[str, Pass, str]]:
    """What was changed, the pass after it, and what became of the words that were added."""
    changes, count = TreeChanges(tree), max(1, files // 100)
    words = changes.add_lines(count)
    after_lines = another_pass(api)
    asked = list(words.items())[:CHECKED_WORDS]
    found = sum(any(hit["path"] == path for hit in api.search(word, limit=3)) for path, word in asked)
    passes = [(f"a line added to {len(words):,} files", after_lines, f", {found} of {len(asked)} new words found")]
    shifted = changes.shift_lines(count)
    passes.append((f"{shifted:,} files shifted by two lines", another_pass(api), ""))
    renamed = changes.rename(count)
    passes.append((f"{renamed:,} files renamed", another_pass(api), ""))
    return passes


def print_passes(unchanged: Sequence[Pass], changed: Sequence[tuple[str, Pass, str]]) -> None:
    passes = [*(("nothing changed", run, "") for run in unchanged), *changed]
    rows = [
        (
            what,
            f"{run.seconds:.2f} s",
            f"{run.job['chunks']:,}",
            ("up to date" if run.up_to_date else "NOT up to date") + found,
        )
        for what, run, found in passes
    ]
    print_table(("later pass", "complete after", "chunks written", "check"), rows)


def print_peer(first: FirstPass, unchanged: Sequence[Pass], theirs: peer.PeerFigures) -> None:
    stack = first.processes
    cpu = sum(seen.cpu for seen in stack.roles.values())
    again = min(run.seconds for run in unchanged)
    disk = sum(first.on_disk.values())
    rows = [
        ("first hit", first.hit or first.run.seconds, theirs.seconds, _seconds),
        ("complete", first.run.seconds, theirs.seconds, _seconds),
        ("complete, and saved", first.run.seconds, theirs.seconds + theirs.save, _seconds),
        ("processor time", cpu, theirs.cpu, _seconds),
        ("nothing changed", again, theirs.again, _seconds),
        (
            "memory, PSS: worker and all below it / main and helpers",
            stack.indexing_together,
            theirs.together,
            megabytes,
        ),
        ("memory, PSS: the whole stack / main and helpers", stack.all_together, theirs.together, megabytes),
        ("peak RSS of the largest process", max(seen.rss for seen in stack.roles.values()), theirs.rss, megabytes),
        ("on disk", disk, theirs.on_disk, megabytes),
        ("files", first.files, theirs.files, _number),
        ("chunks", first.chunks, theirs.chunks, _number),
        *(
            (
                f"search afterwards, p{cut}",
                percentile(first.idle, cut),
                percentile(theirs.latencies, cut),
                _milliseconds,
            )
            for cut in (50, 95)
        ),
    ]
    table = [(what, show(ours), show(other), f"{ours / max(other, 1e-9):.2f}") for what, ours, other, show in rows]
    name = f"semble {theirs.version} (in process, no clients)"
    print_table((f"Muniment (over HTTP, with its clients) / {name}", "ours", "peer", "ratio"), table)


def _seconds(value: float) -> str:
    return f"{value:.1f} s"


def _milliseconds(value: float) -> str:
    return f"{value * 1000:.1f} ms"


def _number(value: float) -> str:
    return f"{value:,.0f}"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tree", type=Path)
    parser.add_argument("--peer", choices=["semble"], help="runs it afterwards on TREE, with the same static model")
    parser.add_argument("--peer-venv", type=Path, help="where the peer is installed, or will be (default: temporary)")
    parser.add_argument("--clients", type=int, default=20, help="clients that search during the first pass (20)")
    parser.add_argument("--question", action="append", help="asked instead of the built-in ones; may be repeated")
    parser.add_argument("--keep-data", type=Path, metavar="DIR", help="a new or empty data folder, kept afterwards")
    parser.add_argument(
        "--in-place", action="store_true", help="index TREE itself instead of a copy; leaves out the changed passes"
    )
    given = parser.parse_args()
    given.tree = given.tree.resolve()
    if not given.tree.is_dir():
        parser.error(f"{given.tree} is no folder")
    if given.keep_data and given.keep_data.exists() and any(given.keep_data.iterdir()):
        parser.error(f"{given.keep_data} is not empty")
    return given


def main() -> None:
    given = arguments()
    questions = given.question or QUESTIONS
    with ExitStack() as until_the_end:
        scratch = Path(until_the_end.enter_context(tempfile.TemporaryDirectory(prefix="muniment-bench-")))
        python = peer.prepare((given.peer_venv or scratch / "peer").resolve()) if given.peer else None
        data: Path = given.keep_data or scratch / "data"
        tree = given.tree if given.in_place else copy_of(given.tree, scratch)
        print(f"{machine_line()}; {given.tree.name}\n")
        with running_stack(data, tree) as stack:
            first = first_pass(stack, data, tree, questions, given.clients)
            print_first_pass(first)
            print_searches(first, given.clients)
            print_processes(first.processes)
            print_disk(first.on_disk)
            api = Api(stack.url)
            unchanged = no_op_passes(api)
            print_passes(unchanged, [] if given.in_place else changed_passes(api, tree, first.files))
        if python:
            if not given.in_place:
                shutil.rmtree(tree)
            print_peer(first, unchanged, peer.run(python, given.tree, questions, IDLE_SEARCHES, scratch))


if __name__ == "__main__":
    main()
