"""What the services of a real installation write into their logs, as JSON at the level DEBUG."""

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from compiled_rules import give_rules

from muniment.bus import Bus
from muniment.datafolder import DataFolder
from muniment.jobs import TERMINAL, JobRequest, JobStatus
from muniment.leases import Leases
from muniment.process import free_port
from muniment.project import Project
from muniment.projects import ProjectStore
from muniment.queue import JobQueue, utc_now
from muniment.redis_client import connect
from muniment.stack.children import responds

Until = Callable[..., Any]
SEEDED = "ghp_" + "q7Z9x2K4m1B8" * 3
PASSWORD, TOKEN, KEY = "seeded-of-redis", "seeded-of-the-gateway", "seeded-of-the-embedder"


class Worker:
    """A worker service that logs JSON, and the gateway's side of the queue."""

    def __init__(self, folder: Path, redis_url: str, chroma_url: str) -> None:
        self.folder, self.data, self.tree = folder, DataFolder(folder / "data"), folder / "tree"
        self.tree.mkdir()
        give_rules(self.data)
        self.connections = connect(redis_url)
        leases = Leases(self.connections.records, seconds=6, max_running=3)
        self.queue = JobQueue(self.connections, Bus(self.connections.records), leases)
        self.queue.mark_epoch()
        self.projects = ProjectStore(self.data.server_db)
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("MUNIMENT_")},
            "MUNIMENT_DATA_DIR": str(self.data.path),
            "MUNIMENT_REDIS_URL": redis_url,
            "MUNIMENT_CHROMA_URL": chroma_url,
            "MUNIMENT_LINGER_SECONDS": "1",
            "MUNIMENT_ROOTS": str(self.tree),
            "MUNIMENT_LOG_FORMAT": "json",
            "MUNIMENT_LOG_LEVEL": "DEBUG",
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "muniment_worker"]
            self.process = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(timeout=20)
            self.process = None

    @property
    def log(self) -> Path:
        return self.folder / "worker.log"

    def lines(self) -> list[dict[str, Any]]:
        """Each line must be an object, whoever wrote it."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def project(self, name: str, path: Path) -> Project:
        return self.projects.add_or_update(
            name, watch_paths=[str(path)], watch_patterns=None, watch_exclude=None, watch=None, now=utc_now()
        )[0]

    def index(self, project: Project, until: Until) -> tuple[str, JobStatus]:
        """Id and end of a job."""
        job_id = self.queue.request(project, JobRequest()).job_id
        until(lambda: self.queue.get(job_id).status in TERMINAL, 60)
        until(lambda: self.queue.bells.unanswered(project.id) == 0, 20)
        return job_id, self.queue.get(job_id).status

    def of(self, job_id: str) -> list[dict[str, Any]]:
        return [line for line in self.lines() if line.get("job") == job_id]


@pytest.fixture
def worker(tmp_path: Path, valkey_url: str, chroma_url: str) -> Iterator[Worker]:
    worker = Worker(tmp_path, valkey_url, chroma_url)
    yield worker
    worker.stop()
    worker.projects.close()
    worker.connections.close()


def outcomes(lines: list[dict[str, Any]]) -> list[tuple[str, str, str | None, int | None]]:
    return sorted(
        (line["path"], line["outcome"], line.get("reason"), line.get("chunks")) for line in lines if "outcome" in line
    )


def test_each_file_of_a_pass_is_named_once_with_what_became_of_it(worker: Worker, until: Until) -> None:
    (worker.tree / "a.py").write_text("def alpha():\n    return 1\n")
    (worker.tree / "deploy.sh").write_text(f"export TOKEN={SEEDED}\n")
    (worker.tree / "b.bin").write_bytes(b"\0\1\2" * 99)
    (worker.tree / "c.txt").write_bytes(b"\xff\xfe\xfd not a text\n" * 9)
    (worker.tree / "link").symlink_to("a.py")
    project = worker.project("alpha", worker.tree)
    worker.start()
    first, status = worker.index(project, until)
    assert status == JobStatus.COMPLETED
    assert outcomes(worker.of(first)) == [
        ("a.py", "read", None, 1),
        ("b.bin", "skipped", "binary", None),
        ("c.txt", "failed", "undecodable", None),
        ("deploy.sh", "read", None, 1),
        ("link", "skipped", "symlink", None),
    ]
    about = {(line["project"], line["project_id"], line["attempt"]) for line in worker.of(first)}
    assert about == {("alpha", project.id, 1)}
    assert {line["job"] for line in worker.lines() if "outcome" in line} == {first}
    (worker.tree / "deploy.sh").unlink()
    second, _ = worker.index(project, until)
    assert [(path, outcome) for path, outcome, _, _ in outcomes(worker.of(second))] == [
        ("a.py", "unchanged"), ("b.bin", "unchanged"), ("c.txt", "failed"), ("deploy.sh", "removed"),
        ("link", "skipped"),
    ]  # fmt: skip
    worker.stop()
    assert {line["service"] for line in worker.lines()} == {"worker"}
    assert SEEDED not in worker.log.read_text()


def test_a_file_that_is_indexed_ahead_of_the_plan_is_named_once_too(
    bench: Any, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(150):
        bench.write(f"src/file{number}.txt", f"text {number}\n" if number % 5 else b"\0\0")
    caplog.set_level(logging.DEBUG, "muniment.indexing.file_log")
    bench.run()
    told = [vars(record)["path"] for record in caplog.records if "outcome" in vars(record)]
    assert len(told) == len(set(told)) == 162
    caplog.clear()
    bench.run()
    assert {vars(record).get("outcome") for record in caplog.records} - {None} == {"unchanged"}


def test_a_job_that_fails_is_logged_with_the_code_that_its_record_shows(worker: Worker, until: Until) -> None:
    elsewhere = worker.folder / "elsewhere"
    elsewhere.mkdir()
    project = worker.project("alpha", elsewhere)
    worker.start()
    job_id, status = worker.index(project, until)
    error = worker.queue.get(job_id).error
    assert status == JobStatus.FAILED
    assert error is not None
    (line,) = [line for line in worker.of(job_id) if line["level"] == "ERROR"]
    assert (line["code"], line["retryable"]) == (error.code, error.retryable) == ("path_outside_roots", False)
    assert "Traceback" in line["exception"]


def test_no_password_token_or_key_is_in_the_gateways_log_or_in_an_answer(tmp_path: Path, until: Until) -> None:
    port, log = free_port(), tmp_path / "gateway.log"
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("MUNIMENT_")},
        "MUNIMENT_DATA_DIR": str(tmp_path / "data"),
        "MUNIMENT_REDIS_URL": f"redis://:{PASSWORD}@127.0.0.1:9/0",
        "MUNIMENT_CHROMA_URL": f"http://me:{PASSWORD}@127.0.0.1:9",
        "MUNIMENT_EMBEDDING_URL": "http://127.0.0.1:9/v1",
        "MUNIMENT_EMBEDDING_MODEL": "any",
        "MUNIMENT_EMBEDDING_KEY": KEY,
        "MUNIMENT_FILE_EMBEDDER": "url",
        "MUNIMENT_TOKEN": TOKEN,
        "MUNIMENT_PORT": str(port),
        "MUNIMENT_LOG_FORMAT": "json",
        "MUNIMENT_LOG_LEVEL": "DEBUG",
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "muniment_api"], env=environment, stdout=output, stderr=output
        )
    base = f"http://127.0.0.1:{port}"
    try:
        until(lambda: responds(f"{base}/healthz"), 60)
        with httpx.Client(base_url=base, trust_env=False, headers={"Authorization": f"Bearer {TOKEN}"}) as client:
            refused = client.get("/api/v1/jobs", headers={"X-Request-Id": "of-this-test"})
            told = [client.get(path).text for path in ("/api/v1/queues", "/readyz", f"/?token={TOKEN}", "/")]
        until(lambda: "embedder_unavailable" in log.read_text(), 20)  # it is asked for a vector at the start
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=20)
    assert refused.json()["code"] == "redis_unavailable"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    (line,) = [line for line in lines if line.get("request") == "of-this-test"]
    assert (line["code"], line["retryable"], line["service"]) == ("redis_unavailable", True, "api")
    for text in (log.read_text(), refused.text, *told):
        assert not [secret for secret in (PASSWORD, TOKEN, KEY) if secret in text]


def test_a_helper_process_speaks_as_the_one_that_started_it_and_of_the_same_job(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    no_folder = tmp_path / "file" / "rules"
    (tmp_path / "file").touch()
    program = f"""
import os
from pathlib import Path
from muniment import logs
from muniment.parsing import HelperPool, ReadRequest
from muniment.scanning import FoundFile
logs.configure("worker", "INFO", "json")
with logs.about(project="alpha", job="f00"), HelperPool(1, 1000, Path({str(no_folder)!r})) as pool:
    for _, future in pool.parse([ReadRequest(FoundFile("a.py", {str(tmp_path / "a.py")!r}, 6, 0))]):
        print([parsed.path for parsed in future.result(60)], os.getpid())
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    assert ran.stdout.startswith("['a.py']")
    (line,) = map(json.loads, ran.stderr.splitlines())
    assert line["logger"] == "muniment.masking.catalogue"
    assert (line["service"], line["project"], line["job"]) == ("worker", "alpha", "f00")
    assert str(line["process"]) != ran.stdout.split()[-1]
