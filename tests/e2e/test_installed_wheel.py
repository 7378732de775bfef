"""What ships, as its users meet it: the wheel in an environment of its own, one stack, a real tree, MCP clients."""

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import httpx
import httpx2
import psutil
import pytest
from mcp import Client, StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult, TextContent

from muniment.process import free_port

REPOSITORY = Path(__file__).parents[2]
T = TypeVar("T")
SNAPSHOTS = REPOSITORY / "tests" / "unit" / "snapshots"
UNREADABLE = ("latin1.txt", "locked.txt")
HEADER = re.compile(
    r"Index of 'real': (\d+\.\d)% lexical, (\d+\.\d)% vectors, as of \d{4}-\d\d-\d\d \d\d:\d\d UTC,"
    r" no changes pending(?:, indexing)?( — results are partial| — some files could not be read.*)?"
)
CALM_SECONDS = 30.0  # the most that anything here may take on a busy machine


def wait_for(condition: Callable[[], T | None], seconds: float = CALM_SECONDS) -> T:
    """The condition's first true value; fails the test after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.1)
    return value


def processes_of(folder: Path) -> list[psutil.Process]:
    """Everything alive that was told of the folder, by its command line or its environment."""
    found = []
    for process in psutil.process_iter():
        try:
            known = [*process.cmdline(), *process.environ().values()]
            alive = process.status() != psutil.STATUS_ZOMBIE
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        if alive and any(str(folder) in text for text in known):
            found.append(process)
    return found


@dataclass
class Stack:
    """The installed commands on one data folder, in a working folder that has nothing to do with the sources."""

    bin: Path
    home: Path
    port: int

    @property
    def data_dir(self) -> Path:
        return self.home / "data"

    @property
    def sources(self) -> Path:
        return self.home / "sources"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def env(self) -> dict[str, str]:
        hidden = ("MUNIMENT_", "PYTHON", "COV", "XDG_")
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith(hidden)},
            "HOME": str(self.home / "home"),
        }

    def run(self, *arguments: str, status: int = 0) -> str:
        """What a command prints on both outputs; its exit status has to be the one given."""
        command = [str(self.bin / "muniment"), *arguments]
        done = subprocess.run(
            command, cwd=self.home / "home", env=self.env, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    def up(self) -> str:
        options = ("--detach", "--data-dir", str(self.data_dir), "--port", str(self.port), "--root", str(self.sources))
        return self.run("up", *options)

    def down(self) -> str:
        return self.run("down", "--data-dir", str(self.data_dir))

    @property
    def pid(self) -> int:
        return int(json.loads((self.data_dir / "stack.json").read_text())["pid"])

    @asynccontextmanager
    async def client(self, way: str = "http", mode: str = "auto"):
        bridge = StdioServerParameters(
            command=str(self.bin / "muniment"), args=["mcp", "--data-dir", str(self.data_dir)], env=self.env
        )
        async with httpx2.AsyncClient(trust_env=False, timeout=40) as http:
            http_transport = streamable_http_client(f"{self.url}/mcp", http_client=http)
            transport = stdio_client(bridge) if way == "stdio" else http_transport
            async with asyncio.timeout(60), Client(transport, mode=mode) as client:
                yield client

    def ask(self, tool: str, **arguments: object) -> CallToolResult:
        async def asked() -> CallToolResult:
            async with self.client() as client:
                return await client.call_tool(tool, arguments)

        return asyncio.run(asked())

    def call(self, tool: str, **arguments: object) -> dict[str, Any]:
        """The structured answer of a tool that has to succeed."""
        answer = self.ask(tool, **arguments)
        assert not answer.is_error, text(answer)
        assert isinstance(answer.structured_content, dict)
        return answer.structured_content

    def holders(self, word: str) -> list[str]:
        """The files among the answers whose text, as indexed, holds the word."""
        hits = self.call("search_code", project="real", query=word)["results"]
        return [hit["path"] for hit in hits if word in hit["text"]]

    def settled(self) -> dict[str, Any]:
        """The project's status once nothing is queued or pending."""

        def status() -> dict[str, Any] | None:
            waited = self.call("wait_for_index", project="real", timeout=20)
            current: dict[str, Any] = waited["status"]
            return current if waited["ready"] and current["up_to_date"] else None

        return wait_for(status)


def text(answer: CallToolResult) -> str:
    (block,) = answer.content
    assert isinstance(block, TextContent)
    return block.text


def plant(folder: Path) -> None:
    """Part of this repository, and beside it whatever a tree may hold."""
    for part in ("src/muniment", "services"):
        shutil.copytree(REPOSITORY / part, folder / part, ignore=shutil.ignore_patterns("__pycache__", "bundled"))
    (folder / "README.md").write_text("# Lighthouse\n\n## Lamp\n\nThe keeper polishes the fresnel lens at dusk.\n")
    (folder / ".gitignore").write_text("*.log\n")
    (folder / "debug.log").write_text("ignoredattop = 1\n")
    (folder / "nested").mkdir()
    (folder / "nested" / ".gitignore").write_text("private/\n!kept.log\n")
    (folder / "nested" / "kept.log").write_text("keptbynestedrule\n")
    (folder / "nested" / "private").mkdir()
    (folder / "nested" / "private" / "notes.md").write_text("ignoredbynestedrule\n")
    (folder / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40)
    (folder / "loop").symlink_to(folder)
    (folder / "empty").mkdir()
    with (folder / "huge.txt").open("wb") as huge:
        huge.truncate(300 * 1024 * 1024)
    plant_unreadable(folder)


def plant_unreadable(folder: Path) -> None:
    (folder / "latin1.txt").write_bytes("Gr\xfc\xdfe aus Z\xfcrich\n".encode("latin-1"))
    (folder / "locked.txt").write_text("nobodymayread\n")  # but root may
    (folder / "locked.txt").chmod(0)


@pytest.fixture(scope="module")
def stack(installed_commands: Path) -> Iterator[Stack]:
    """A running stack whose project `real` was initialized."""
    with TemporaryDirectory(prefix="muniment-test-", ignore_cleanup_errors=True) as name:  # short, for the socket
        stack = Stack(installed_commands, Path(name).resolve(), free_port())
        (stack.home / "home").mkdir()
        stack.sources.mkdir()
        plant(stack.sources / "real")
        try:
            stack.up()
            stack.call("init_project", project="real", watch_paths=[str(stack.sources / "real")])
            yield stack
        finally:
            for process in processes_of(stack.data_dir):
                process.terminate()
            _, alive = psutil.wait_procs(processes_of(stack.data_dir), timeout=CALM_SECONDS)
            for process in alive:
                process.kill()


@pytest.fixture
def running(stack: Stack) -> Stack:
    """The stack with the project's index complete, whatever the test before did to it."""
    if not (stack.data_dir / "stack.json").exists():
        stack.up()
    stack.settled()
    return stack


@pytest.fixture
def tree(running: Stack) -> Path:
    return running.sources / "real"


def test_the_code_that_runs_is_the_wheels(stack: Stack) -> None:
    packages = ("muniment", "muniment_api", "muniment_worker", "muniment_watcher")
    program = f"import {', '.join(packages)}; print(*(p.__file__ for p in ({', '.join(packages)})), sep='\\n')"
    done = subprocess.run(
        [stack.bin / "python", "-c", program], cwd=stack.home, env=stack.env, capture_output=True, text=True, check=True
    )
    places = [Path(line) for line in done.stdout.split()]
    assert len(places) == len(packages)
    assert all(place.is_relative_to(stack.bin.parent) for place in places)
    programs = {process.cmdline()[0] for process in processes_of(stack.data_dir)}
    assert {program for program in programs if not program.startswith(str(stack.bin.parent))} == set()


def test_every_address_that_up_prints_answers(running: Stack) -> None:
    told = running.up()
    assert "already runs" in told
    assert f"pid {running.pid}" in told
    urls = [url for url in re.findall(r"http://[^\s)]+", told) if not url.endswith(("/mcp", "/api/v1"))]
    assert len(urls) == 3
    for url in urls:
        assert httpx.get(url, trust_env=False, follow_redirects=True).status_code == 200, url


@pytest.mark.parametrize("mode", ["legacy", "auto"])
@pytest.mark.parametrize("way", ["http", "stdio"])
async def test_every_way_and_protocol_lists_the_tools_that_were_agreed_on(stack: Stack, way: str, mode: str) -> None:
    async with stack.client(way, mode) as client:
        tools = {tool.name for tool in (await client.list_tools()).tools}
    assert tools == {tool["name"] for tool in json.loads((SNAPSHOTS / "mcp_tools.json").read_text())}


def test_the_rest_description_is_the_one_that_was_agreed_on(stack: Stack) -> None:
    served = httpx.get(f"{stack.url}/openapi.json", trust_env=False).json()
    assert served["paths"] == json.loads((SNAPSHOTS / "openapi.json").read_text())["paths"]


def test_a_tree_with_everything_in_it_is_indexed_and_accounted_for(running: Stack) -> None:
    job = running.call("start_indexing", project="real")["job_id"]
    wait_for(lambda: running.call("get_job_status", job_id=job)["status"] == "completed")
    report = running.call("get_job_status", job_id=job)
    failures = {failure["path"]: failure["reason"] for failure in report["failures"]}
    may_not_read = {} if os.geteuid() == 0 else {"locked.txt": "unreadable"}
    assert failures == {"latin1.txt": "undecodable", **may_not_read}
    assert report["with_errors"]
    status = running.settled()
    assert (status["missing"], status["extra"]) == (len(failures), 0)
    assert report["files"]["skipped"] == {"binary": 1, "oversized": 1, "symlink": 1}
    assert job in [one["id"] for one in running.call("list_jobs", project="real")["items"]]


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("PR_SET_PDEATHSIG", "src/muniment/process.py"),
        ("resolve_token", "src/muniment/access.py"),
        ("how does a child process end when its parent dies", "src/muniment/process.py"),
        ("node_modules and virtual environments are excluded by default", "src/muniment/scanning/defaults.py"),
        ("fresnel", "README.md"),
        ("keptbynestedrule", "nested/kept.log"),
    ],
)
def test_the_right_file_is_near_the_top(running: Stack, query: str, path: str) -> None:
    answer = running.ask("search_code", project="real", query=query, limit=5)
    assert isinstance(answer.structured_content, dict)
    assert path in [hit["path"] for hit in answer.structured_content["results"]]


def test_the_header_claims_completeness_only_without_files_that_failed(tree: Path, running: Stack) -> None:
    def header() -> re.Match[str]:
        line = text(running.ask("search_code", project="real", query="lamp")).splitlines()[0]
        found = HEADER.fullmatch(line)
        assert found, line
        return found

    coverage = running.settled()["coverage"]
    assert coverage["lexical_percent"] == coverage["vector_percent"] < 100
    assert [float(share) for share in header().groups()[:2]] == [coverage["lexical_percent"]] * 2
    assert header()[3]

    for name in UNREADABLE:
        (tree / name).unlink()
    wait_for(lambda: running.settled()["missing"] == 0)
    assert header().groups() == ("100.0", "100.0", None)

    plant_unreadable(tree)
    wait_for(lambda: running.settled()["missing"] > 0)
    assert header()[3]


@pytest.mark.parametrize("word", ["ignoredattop", "ignoredbynestedrule"])
def test_what_git_ignores_is_not_found(running: Stack, word: str) -> None:
    assert running.holders(word) == []


def test_changes_on_disk_arrive_by_themselves(tree: Path, running: Stack) -> None:
    added = tree / "src" / "added.py"
    added.write_text("def zygomorphic_petals() -> int:\n    return 5\n")
    wait_for(lambda: running.holders("zygomorphic_petals") == ["src/added.py"])

    added.write_text("def actinomorphic_sepals() -> int:\n    return 4\n")
    wait_for(lambda: running.holders("actinomorphic_sepals") == ["src/added.py"])
    assert running.holders("zygomorphic_petals") == []

    added.rename(tree / "nested" / "renamed.py")
    wait_for(lambda: running.holders("actinomorphic_sepals") == ["nested/renamed.py"])

    (tree / "nested" / "renamed.py").unlink()
    wait_for(lambda: running.holders("actinomorphic_sepals") == [])


def test_what_was_edited_just_before_a_wait_is_found_right_after_it(tree: Path, running: Stack) -> None:
    for word in ("cotyledon", "hypocotyl", "epicotyl"):
        (tree / "src" / "waited.py").write_text(f"def {word}() -> int:\n    return 1\n")
        assert running.call("wait_for_index", project="real", timeout=20)["ready"]
        assert running.holders(word) == ["src/waited.py"]
    (tree / "src" / "waited.py").unlink()


def test_what_a_file_held_before_it_became_unreadable_is_marked_stale(tree: Path, running: Stack) -> None:
    def stale() -> list[bool]:
        hits = running.call("search_code", project="real", query="paleobotanist")["results"]
        return [hit["stale"] for hit in hits if hit["path"] == "field.md"]

    (tree / "field.md").write_text("The paleobotanist draws a fern.\n")
    wait_for(lambda: stale() == [False])
    (tree / "field.md").write_bytes("Fr\xfcher.\n".encode("latin-1"))

    def failed() -> str:  # of the index, not of its last job: the next one may have come by then
        return running.run("files", "real", "--state", "failed", "--data-dir", str(running.data_dir))

    wait_for(lambda: "field.md" in failed())
    running.settled()
    assert stale() == [True]
    (tree / "field.md").unlink()
    wait_for(lambda: stale() == [])


def test_a_memory_is_stored_found_by_its_meaning_and_deleted(running: Stack) -> None:
    fact = "The checkout charges a card twice when the payment provider answers late."
    stored = running.call("store_memory", project="real", content=fact, tags="billing, bugs", source="ticket 7")
    running.call("store_memory", project="real", content="We format Python with a line length of 120.")
    best, *_ = running.call("search_memories", project="real", query="customers billed two times")["results"]
    assert (best["id"], best["content"], best["tags"]) == (stored["id"], fact, ["billing", "bugs"])
    running.call("delete_memory", project="real", memory_id=stored["id"])
    left = running.call("search_memories", project="real", query="customers billed two times")["results"]
    assert stored["id"] not in [memory["id"] for memory in left]


def test_the_commands_talk_to_the_stack_of_the_data_folder(tree: Path, running: Stack) -> None:
    where = ("--data-dir", str(running.data_dir))
    assert "src/muniment/process.py" in running.run("search", "real", "PR_SET_PDEATHSIG", *where)
    assert "real" in running.run("status", *where)
    # a second time: the project is there already
    assert "Complete after" in running.run("quickstart", str(tree), "--exit", *where)
    assert "No project named 'reel'. Known: real." in running.run("index", "reel", *where, status=1)
    assert len(running.call("list_projects")["items"]) == 1


@pytest.mark.parametrize(
    ("tool", "arguments", "code", "remedy"),
    [
        ("search_code", {"project": "reel", "query": "x"}, "unknown_project", "init_project"),
        ("init_project", {"project": "new", "watch_paths": ["{sources}/nowhere"]}, "path_not_found", "as the server"),
        ("init_project", {"project": "new", "watch_paths": ["/usr"]}, "path_outside_roots", "MUNIMENT_ROOTS"),
        ("init_project", {"project": "new", "watch_paths": ["{sources}/real/../../.."]}, "path_outside_roots", "below"),
        (
            "init_project",
            {"project": "new", "watch_paths": ["{sources}/real/README.md"]},
            "path_not_a_folder",
            "folder",
        ),
        ("init_project", {"project": "a/b", "watch_paths": ["{sources}/real"]}, "invalid_project_name", "letters"),
        ("init_project", {"project": "new"}, "invalid_value", "watch_paths"),
        ("get_job_status", {"job_id": "nothing"}, "unknown_job", "list_jobs"),
    ],
)
def test_bad_input_is_refused_with_a_code_and_what_to_do(
    stack: Stack, tool: str, arguments: dict[str, object], code: str, remedy: str
) -> None:
    given = json.loads(json.dumps(arguments).replace("{sources}", str(stack.sources)))
    answer = stack.ask(tool, **given)
    body = (answer.meta or {})["muniment/error"]
    assert (answer.is_error, body["code"]) == (True, code)
    assert remedy in body["remedy"]
    assert text(answer) == f"{code}: {body['message']} {body['remedy']}"
    assert "new" not in [one["name"] for one in stack.call("list_projects")["items"]]


def test_a_killed_stack_leaves_no_process_and_loses_nothing(running: Stack) -> None:
    before = running.settled()
    fact = "Deploys are frozen on Fridays."
    stored = running.call("store_memory", project="real", content=fact)
    os.kill(running.pid, signal.SIGKILL)
    wait_for(lambda: not processes_of(running.data_dir))

    running.up()
    assert running.holders("PR_SET_PDEATHSIG") == ["src/muniment/process.py"]
    kept = running.call("search_memories", project="real", query=fact)["results"]
    assert stored["id"] in [memory["id"] for memory in kept]
    assert running.settled()["coverage"] == before["coverage"]


def test_down_leaves_no_process(running: Stack) -> None:
    assert len(processes_of(running.data_dir)) > 5
    assert f"pid {running.pid}" in running.down()
    wait_for(lambda: not processes_of(running.data_dir), 5)
    assert not (running.data_dir / "stack.json").exists()
    assert "No Muniment runs" in running.run("down", "--data-dir", str(running.data_dir), status=1)
