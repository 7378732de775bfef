"""Files that are put and projects that are removed, with real stores and worker processes."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from compiled_rules import give_rules

from muniment.errors import MunimentError
from muniment.intake import ProjectRequest
from muniment.jobs import JobKind, JobRequest, JobStatus
from muniment.manifest import ManifestReader
from muniment.project import Project
from muniment.pushed import PushedFiles
from muniment.queue import utc_now
from muniment.removal import ProjectRemover, Stores
from muniment.settings import Settings
from muniment.testing import HashedWordsEmbedder, render_index
from muniment.vectors import VectorStore
from muniment_api.deps import Services, build_services

Until = Callable[..., Any]


class Town:
    """A gateway's services in this process, and worker services as processes of their own."""

    def __init__(self, folder: Path, redis_url: str, chroma_url: str) -> None:
        self.folder = folder
        self.settings = Settings(data_dir=folder / "data", redis_url=redis_url, chroma_url=chroma_url, roots=[folder])
        give_rules(self.settings.folder)
        self.services: Services = build_services(self.settings, memory_embedder=HashedWordsEmbedder())
        self.services.queue.mark_epoch()
        self.workers: list[subprocess.Popen[bytes]] = []
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("MUNIMENT_")},
            "MUNIMENT_DATA_DIR": str(self.settings.data_dir),
            "MUNIMENT_REDIS_URL": redis_url,
            "MUNIMENT_CHROMA_URL": chroma_url,
            "MUNIMENT_LEASE_SECONDS": "3",
            "MUNIMENT_LINGER_SECONDS": "1",
            "MUNIMENT_BATCH_FILES": "5",
            "MUNIMENT_ROOTS": str(folder),
        }

    def work(self) -> None:
        with (self.folder / "worker.log").open("ab") as log:
            self.workers.append(
                subprocess.Popen(
                    [sys.executable, "-m", "muniment_worker"], env=self.environment, stdout=log, stderr=log
                )
            )

    def stop(self) -> None:
        family = [
            child
            for worker in self.workers
            if psutil.pid_exists(worker.pid)
            for child in psutil.Process(worker.pid).children(recursive=True)
        ]
        for worker in self.workers:
            worker.terminate()
        for worker in self.workers:
            worker.wait(timeout=20)
        _, alive = psutil.wait_procs(family, timeout=5)
        self.services.search.close()
        self.services.memory.close()
        self.services.projects.close()
        self.services.connections.close()
        assert alive == []

    def project(self, name: str = "alpha", files: dict[str, str] | None = None) -> Project:
        """With ``files`` it has a folder of its own name, else it takes pushed files alone."""
        folders = []
        if files is not None:
            tree = self.folder / name
            for path, text in files.items():
                (tree / path).parent.mkdir(parents=True, exist_ok=True)
                (tree / path).write_text(text)
            folders = [str(tree)]
        return self.services.intake.init_project(ProjectRequest(name=name, watch_paths=folders)).project

    def put(self, project: Project, path: str, text: str) -> str:
        return self.services.pushes.put(project.id, path, text).job_id

    def index(self, project: Project, kind: JobKind = JobKind.RECONCILE) -> str:
        return self.services.queue.request(project, JobRequest(kind=kind)).job_id

    def hits(self, project: Project, question: str) -> dict[str, tuple[str, bool]]:
        """Text and staleness by path."""
        found = self.services.search.search(project, question).results
        return {hit.path: (hit.text, hit.stale) for hit in found}

    def settled(self, project: Project) -> bool:
        return self.services.status.project_status(project).up_to_date

    def paths(self, project: Project) -> dict[str, bool]:
        """Whether each indexed path was pushed."""
        reader = ManifestReader.open(self.settings.folder.project(project.id).manifest)
        assert reader is not None
        try:
            return {row["path"]: bool(row["pushed"]) for row in reader._rows("SELECT path, pushed FROM files")}
        finally:
            reader.close()

    def counters(self, project: Project) -> tuple[int, int]:
        """Files that are searchable, and files in all."""
        coverage = self.services.status.project_status(project).coverage
        return coverage.files_lexical, coverage.files_total

    def left_of(self, project: Project) -> list[str]:
        keys = self.services.connections.rq.scan_iter()
        found = [key.decode() for key in keys if key.decode().endswith(project.id)]
        found += [f"folder {path.name}" for path in self.settings.folder.path.glob(f"projects/*{project.id}*")]
        found += [f"tombstone {one}" for one in self.services.projects.removed() if one == project.id]
        return found


@pytest.fixture
def town(tmp_path: Path, valkey_url: str, chroma_url: str) -> Iterator[Town]:
    town = Town(tmp_path, valkey_url, chroma_url)
    yield town
    town.stop()


def ended(town: Town, job_id: str, status: JobStatus = JobStatus.COMPLETED) -> Callable[[], bool]:
    return lambda: town.services.queue.get(job_id).status == status


# --- files that are put -----------------------------------------------------------------------------------------


def test_a_file_that_is_put_is_found_and_survives_reconcile_and_reindex(town: Town, until: Until) -> None:
    project = town.project()
    town.work()
    until(ended(town, town.put(project, "notes/charge.md", "# Charging\n\nAn order is charged once.\n")), 30)
    assert town.hits(project, "charging orders")["notes/charge.md"][1] is False
    for kind in (JobKind.RECONCILE, JobKind.REINDEX):
        until(ended(town, town.index(project, kind)), 30)
        assert town.hits(project, "charging orders").keys() == {"notes/charge.md"}
        assert town.settled(project)
    assert town.paths(project) == {"notes/charge.md": True}
    until(ended(town, town.services.pushes.remove("alpha", "notes/charge.md").job_id), 30)
    assert town.hits(project, "charging orders") == {}
    assert town.paths(project) == {}
    assert "!" not in render_index(town.settings.folder.project(project.id), town.services.vectors)


def test_a_file_that_is_put_again_is_stale_until_it_is_indexed_again(town: Town, until: Until) -> None:
    project = town.project()
    town.work()
    until(ended(town, town.put(project, "a.md", "the walrus sleeps\n")), 30)
    town.workers[0].terminate()
    town.workers[0].wait(20)
    town.put(project, "a.md", "the walrus wakes!\n")
    assert town.hits(project, "walrus") == {"a.md": ("the walrus sleeps\n", True)}
    town.work()
    until(lambda: town.hits(project, "walrus") == {"a.md": ("the walrus wakes!\n", False)}, 30)


def test_two_texts_of_one_size_put_at_once_end_as_the_last_one(town: Town, until: Until) -> None:
    project = town.project()
    town.work()
    for text in ("the badger digs\n", "the otter swims\n"):
        town.put(project, "a.md", text)
    until(lambda: town.settled(project), 30)
    assert town.hits(project, "otter").keys() == {"a.md"}
    assert "otter" in town.hits(project, "badger otter")["a.md"][0]


def test_a_pushed_file_hides_the_one_on_the_disk_until_it_is_removed(town: Town, until: Until) -> None:
    project = town.project(files={"a.md": "written by hand\n", "b.md": "another by hand\n"})
    town.work()
    until(lambda: town.settled(project), 30)
    until(ended(town, town.put(project, "a.md", "put by a program\n")), 30)
    assert town.hits(project, "program")["a.md"] == ("put by a program\n", False)
    until(ended(town, town.index(project)), 30)
    assert town.hits(project, "program")["a.md"] == ("put by a program\n", False)
    assert town.paths(project) == {"a.md": True, "b.md": False}
    until(ended(town, town.services.pushes.remove("alpha", "a.md").job_id), 30)
    assert town.hits(project, "written by hand")["a.md"] == ("written by hand\n", False)
    assert town.paths(project) == {"a.md": False, "b.md": False}


def test_interleaved_puts_and_removals_end_as_the_last_call_of_each_path_said(town: Town, until: Until) -> None:
    project = town.project()
    town.work()

    def churn(path: str, last: bool) -> None:
        for number in range(12):
            town.put(project, path, f"{path} generation {number}\n")
            town.services.pushes.remove(project.id, path)
        if last:
            town.put(project, path, f"{path} generation last\n")

    calls = [threading.Thread(target=churn, args=(f"f{number}.md", number % 2 == 0)) for number in range(6)]
    for call in calls:
        call.start()
    for call in calls:
        call.join(60)
    until(lambda: town.settled(project), 30)
    kept = {"f0.md", "f2.md", "f4.md"}
    found = town.hits(project, "generation last")
    assert {path: text for path, (text, _) in found.items()} == {path: f"{path} generation last\n" for path in kept}
    assert town.paths(project).keys() == kept
    assert "!" not in render_index(town.settings.folder.project(project.id), town.services.vectors)


def test_a_gateway_that_dies_right_after_storing_loses_nothing(town: Town, until: Until) -> None:
    project = town.project()
    town.work()
    until(lambda: town.settled(project), 30)
    files = PushedFiles(town.settings.folder.project(project.id).pushed)
    files.make()
    files.put("a.md", "stored but never told\n", 1)
    until(ended(town, town.index(project)), 30)
    assert town.hits(project, "stored told").keys() == {"a.md"}
    files.remove("a.md")
    until(ended(town, town.services.pushes.remove("alpha", "a.md").job_id), 30)  # tells the removal once more
    assert town.hits(project, "stored told") == {}


def test_a_secret_that_is_put_is_in_no_store(town: Town, until: Until) -> None:
    project = town.project()
    town.work()
    token = "ghp_" + "q7Z9x2K4m1B8" * 3
    until(ended(town, town.put(project, "deploy.sh", f"# deploys the walrus\nexport TOKEN={token}\n")), 30)
    assert "walrus" in town.hits(project, "walrus")["deploy.sh"][0]
    for path in town.settings.data_dir.rglob("*"):
        assert not path.is_file() or token.encode() not in path.read_bytes(), path
    assert token not in (town.folder / "worker.log").read_text()


# --- projects that are removed ----------------------------------------------------------------------------------


def tree(files: int) -> dict[str, str]:
    return {
        f"m{number % 7}/file{number}.py": f"def alpha_{number}():\n    return {number}\n" for number in range(files)
    }


def test_a_project_is_removed_while_its_pass_runs_and_its_name_is_indexed_anew_at_once(
    town: Town, until: Until
) -> None:
    project = town.project(files=tree(600))
    town.put(project, "note.md", "a pushed note\n")
    town.services.memory.store(project, "alpha deploys on Tuesdays")
    town.work()
    until(lambda: 0 < town.counters(project)[0] < town.counters(project)[1], 30)
    running = town.services.queue.active(project.id)
    assert running is not None
    answer = town.services.remover.remove("alpha", confirm=True)
    again = town.project(files={})
    assert again.id != project.id
    assert town.services.queue.get(running.id).status == JobStatus.CANCELLED
    until(lambda: town.counters(again) == (600, 600) and town.settled(again), 60)
    assert town.hits(again, "pushed note") == {}
    assert answer.memories_file is not None
    assert "Tuesdays" in Path(answer.memories_file).read_text()
    until(lambda: town.left_of(project) == [], 40)
    assert town.services.vectors.count(f"{project.id}-{town.services.embedders[0].name}") == 0
    assert town.settled(again)
    assert "Traceback" not in (town.folder / "worker.log").read_text()


def test_nothing_but_files_of_memories_is_left_of_a_removed_project(town: Town, until: Until) -> None:
    project = town.project(files=tree(30))
    town.work()
    until(lambda: town.settled(project), 30)
    town.hits(project, "alpha")  # its index is open in this process
    answer = town.services.remover.remove("alpha", confirm=True)
    assert answer.swept
    assert not any(str(project.id) in file.path for file in psutil.Process().open_files())
    until(lambda: town.left_of(project) == [], 40)
    town.index(project)  # a watcher or a gateway that had not heard of it
    until(lambda: not town.services.queue.has_work(project.id), 30)
    until(lambda: not town.services.leases.holder(project.id), 30)
    assert not town.settings.folder.project(project.id).path.exists()


def test_what_a_gateway_that_died_left_behind_is_swept_by_the_worker(town: Town, until: Until) -> None:
    project, other = town.project(files=tree(20)), town.project("beta", files={"b.md": "beta\n"})
    town.work()
    until(lambda: town.settled(project) and town.settled(other), 30)
    collection = f"{project.id}-{town.services.embedders[0].name}"
    assert town.services.vectors.count(collection) > 0
    town.services.projects.remove(project.id, utc_now())
    until(lambda: town.left_of(project) == [], 40)
    assert town.services.vectors.count(collection) == 0
    assert town.settled(other)
    assert town.hits(other, "beta").keys() == {"b.md"}


def test_a_chroma_that_is_away_at_the_removal_is_swept_later(town: Town, until: Until) -> None:
    project = town.project(files=tree(20))
    town.work()
    until(lambda: town.settled(project), 30)
    collection = f"{project.id}-{town.services.embedders[0].name}"
    services = town.services
    away = Stores(services.settings.folder, services.projects, services.queue, VectorStore("http://127.0.0.1:9"))
    answer = ProjectRemover(away, services.status, services.bus, services.search.forget).remove("alpha", confirm=True)
    assert not answer.swept
    with pytest.raises(MunimentError, match="No project named"):
        services.projects.get("alpha")
    until(lambda: town.left_of(project) == [], 40)
    assert services.vectors.count(collection) == 0
