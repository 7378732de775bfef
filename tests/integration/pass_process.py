"""Runs one pass in a process of its own, which may kill itself at a named step: `pass_process.py SETTINGS_JSON`."""

import json
import os
import signal
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from redis import Redis

from muniment.datafolder import ProjectFolder
from muniment.dirty import DirtyPaths
from muniment.indexing import Limits, PassTools, open_index, run_pass
from muniment.jobs import Job, JobKind, JobStatus
from muniment.project import Project
from muniment.redis_client import text_client
from muniment.testing import HashedWordsEmbedder
from muniment.vectors import VectorStore

NOW = datetime(2025, 1, 1, tzinfo=UTC)


class KillAt:
    """A control that SIGKILLs its own process the ``nth`` time a step is reached."""

    def __init__(self, step: str | None, nth: int = 1) -> None:
        self.step, self.nth = step, nth
        self.seen: Counter[str] = Counter()
        self.reports = []

    def check(self) -> None: ...

    def pause(self, seconds: float) -> None: ...

    def report(self, progress) -> None:
        self.reports.append(progress)

    def reached(self, step) -> None:
        self.seen[step] += 1
        if step == self.step and self.seen[step] == self.nth:
            os.kill(os.getpid(), signal.SIGKILL)


def make_project(tree, **fields) -> Project:
    return Project(
        id=fields.pop("id", "demo-abc234"),
        name="demo",
        watch_paths=[str(tree)],
        created_at=NOW,
        updated_at=NOW,
        **fields,
    )


def make_job(kind=JobKind.RECONCILE, paths=(), job_id="job-1", repair=False) -> Job:
    return Job(
        id=job_id, project="demo", project_id="demo-abc234", kind=kind, paths=list(paths),
        repair=repair, status=JobStatus.RUNNING, created_at=NOW,
    )  # fmt: skip


def make_tools(redis_url, chroma_url, batch_files=3, vectors=None, embedder=None, helpers=0) -> PassTools:
    records = text_client(Redis.from_url(redis_url, decode_responses=True))
    return PassTools(
        dirty=DirtyPaths(records),
        vectors=vectors or VectorStore(chroma_url),
        embedder=embedder or HashedWordsEmbedder(32),
        limits=Limits(batch_files=batch_files, batch_chunks=8, max_file_bytes=100_000),
        helpers=helpers,
        now=lambda: NOW,
    )


def main() -> None:
    given = json.loads(sys.argv[1])
    project = make_project(given["tree"], id=given["project_id"])
    control = KillAt(given["step"], given["nth"])
    tools = make_tools(
        given["redis"],
        given["chroma"],
        batch_files=given.get("batch_files", 3),
        embedder=HashedWordsEmbedder(32, given.get("model", "hashed-words-1")),
        helpers=given.get("helpers", 0),
    )
    folder = ProjectFolder(Path(given["folder"]))
    folder.path.mkdir(parents=True, exist_ok=True)
    with open_index(folder, project.id) as index:
        run_pass(project, make_job(), index, tools, control)


if __name__ == "__main__":
    main()
