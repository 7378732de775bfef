"""Removing a project: gone at once, swept in steps that may each be the last one, and nothing else is touched."""

import fcntl
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest
from fakeredis import FakeServer

from muniment.embedding import Embedder
from muniment.errors import ChromaUnavailable, ConfirmationRequired, UnknownProject, WriterBusy
from muniment.jobs import JobRequest, JobStatus
from muniment.memory import Memory, MemoryStore
from muniment.project import Project
from muniment.pushed import PushedFiles
from muniment.removal import ProjectRemover, Step, Stores, sweep, sweep_removed
from muniment.sqlite import connect
from muniment.testing import HashedWordsEmbedder, ManualClock
from muniment.vectors import VectorStore
from muniment_api.deps import Services

NOW = datetime(2025, 1, 1, tzinfo=UTC)


class Collections:
    """The vector store's part of this; ``away`` makes it refuse."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.away = False

    def drop(self, name: str) -> None:
        if self.away:
            raise ChromaUnavailable("http://fake", "refused")
        self.names.discard(name)


class World:
    """Alpha, with everything that a project can leave behind, and a neighbour whose id begins with alpha's."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.folder = services.settings.folder
        self.vectors = Collections()
        self.stores = Stores(self.folder, services.projects, services.queue, cast(VectorStore, self.vectors))
        self.forgotten: list[str] = []
        self.remover = ProjectRemover(self.stores, services.status, services.bus, self.forgotten.append)
        self.alpha = self.project("alpha")
        self.neighbour = self.project(f"{self.alpha.id}.")
        assert self.neighbour.id.startswith(f"{self.alpha.id}-")
        for project in (self.alpha, self.neighbour):
            self.fill(project)

    def project(self, name: str) -> Project:
        made, _ = self.services.projects.add_or_update(
            name, watch_paths=[], watch_patterns=None, watch_exclude=None, watch=None, now=NOW
        )
        return made

    def fill(self, project: Project) -> None:
        pushed = PushedFiles(self.folder.project(project.id).pushed)
        pushed.make()
        pushed.put("a.md", "text", 1)
        names = [f"{project.id}-old", f"{project.id}-new"]
        self.vectors.names.update(names)
        with closing(connect(self.folder.project(project.id).manifest)) as manifest:
            manifest.execute("CREATE TABLE meta (key TEXT PRIMARY KEY, value)")
            manifest.execute("INSERT INTO meta VALUES ('collections', ?)", (json.dumps(names),))
        self.services.memory.store(project, f"{project.name} charges twice on timeout", ["billing"], "ticket 7")
        self.services.memory.store(project, "deploys happen on Tuesdays")
        self.services.queue.request(project, JobRequest())
        self.services.dirty.add(project.id, ["a.md"])

    def left_of(self, project: Project) -> list[str]:
        redis = self.services.connections.rq
        keys = [key.decode() for key in redis.scan_iter() if key.decode().endswith(project.id)]
        places = [*self.folder.path.glob(f"projects/{project.id}*"), self.folder.trash(project.id)]
        folders = [path.name for path in places if path.exists() and path.name.removeprefix(".removed-") == project.id]
        return [
            *keys,
            *folders,
            *(name for name in self.vectors.names if name in (f"{project.id}-old", f"{project.id}-new")),
            *(["memories"] if self.services.memory.count(project.id) else []),
            *(["tombstone"] if project.id in self.services.projects.removed() else []),
        ]

    def check_neighbour(self) -> None:
        assert self.services.projects.get(self.neighbour.id) == self.neighbour
        assert {name for name in self.vectors.names if name.startswith(self.neighbour.id)} == {
            f"{self.neighbour.id}-old",
            f"{self.neighbour.id}-new",
        }
        assert PushedFiles(self.folder.project(self.neighbour.id).pushed).count() == 1
        assert self.services.memory.count(self.neighbour.id) == 2
        assert self.services.queue.has_work(self.neighbour.id)
        assert self.services.dirty.count(self.neighbour.id) == 1

    def exported(self) -> list[Memory]:
        lines = self.folder.removed_memories(self.alpha.id).read_text().splitlines()
        return [Memory.model_validate_json(line) for line in lines]


@pytest.fixture
def world(services: Services) -> World:
    return World(services)


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    with (folder / "writer.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def test_without_a_confirmation_nothing_goes_and_the_answer_says_what_would(world: World) -> None:
    with pytest.raises(ConfirmationRequired, match=r"put into it \(1\), and takes its memories \(2\)"):
        world.remover.remove("alpha", confirm=False)
    assert world.services.projects.get("alpha") == world.alpha
    assert world.services.projects.removed() == []


def test_a_removed_project_leaves_nothing_but_its_memories_and_its_jobs_history(world: World) -> None:
    [job] = world.services.queue.waiting(world.alpha.id)
    assert job is not None
    answer = world.remover.remove("ALPHA", confirm=True)
    assert (answer.project, answer.swept, answer.memories) == ("alpha", True, 2)
    file = world.folder.removed_memories(world.alpha.id)
    assert answer.memories_file == str(file)
    assert str(file) in answer.message
    assert file.stat().st_mode & 0o777 == 0o600
    assert [(memory.content, memory.tags, memory.source) for memory in world.exported()] == [
        ("alpha charges twice on timeout", ["billing"], "ticket 7"),
        ("deploys happen on Tuesdays", [], None),
    ]
    assert world.left_of(world.alpha) == []
    assert world.forgotten == [world.alpha.id]
    assert world.services.queue.get(job.id).status == JobStatus.CANCELLED
    world.check_neighbour()


def test_its_name_is_free_at_once_for_a_project_of_its_own(world: World) -> None:
    world.remover.remove("alpha", confirm=True)
    again = world.project("alpha")
    assert again.id != world.alpha.id
    world.fill(again)
    assert sweep_removed(world.stores) == []
    assert set(world.left_of(again)) >= {f"{again.id}-old", "memories", again.id}


@pytest.mark.parametrize("last", Step)
def test_a_sweep_that_dies_after_any_step_is_ended_by_the_next_one(world: World, last: Step) -> None:
    class Died(Exception):
        pass

    def die(step: Step) -> None:
        if step == last:
            raise Died

    world.services.projects.remove(world.alpha.id, NOW)
    for _ in range(2):
        with pytest.raises(Died):
            sweep(world.stores, world.alpha.id, die)
        with pytest.raises(UnknownProject):
            world.services.projects.get("alpha")
    assert "tombstone" in world.left_of(world.alpha)
    assert sweep_removed(world.stores) == [world.alpha.id]
    assert world.left_of(world.alpha) == []
    assert len(world.exported()) == 2
    assert sweep_removed(world.stores) == []
    world.check_neighbour()


def test_memories_are_exported_once_more_when_the_file_was_there_but_not_the_commit(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Died(Exception):
        pass

    def dying(*arguments: object) -> None:
        kept(*arguments)  # type: ignore[arg-type]
        raise Died

    from muniment.memory import leaving

    kept = leaving.replace
    monkeypatch.setattr(leaving, "replace", dying)
    world.services.projects.remove(world.alpha.id, NOW)
    with pytest.raises(Died):
        sweep(world.stores, world.alpha.id)
    assert len(world.exported()) == 2
    assert world.services.memory.count(world.alpha.id) == 2
    monkeypatch.undo()
    assert sweep(world.stores, world.alpha.id)
    assert len(world.exported()) == 2


def test_a_project_without_memories_leaves_no_file(world: World) -> None:
    bare = world.project("bare")
    answer = world.remover.remove("bare", confirm=True)
    assert (answer.memories, answer.memories_file, answer.swept) == (0, None, True)
    assert not world.folder.removed_memories(bare.id).exists()


def test_a_memory_stored_while_its_project_is_removed_is_refused_not_lost(world: World) -> None:
    world.remover.remove("alpha", confirm=True)
    embedder: Embedder = HashedWordsEmbedder()
    for store in (world.services.memory, MemoryStore(world.folder.memories_db, embedder, ManualClock())):
        with pytest.raises(UnknownProject):
            store.store(world.alpha, "too late")
    assert world.left_of(world.alpha) == []


def test_a_pass_that_does_not_let_go_delays_only_the_sweep(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("muniment.removal.WRITER_SECONDS", 0.1)
    with writing(world.folder.project(world.alpha.id).path):
        answer = world.remover.remove("alpha", confirm=True)
        assert not answer.swept
        assert "in the background" in answer.message
        assert answer.memories == 2
        with pytest.raises(WriterBusy):
            sweep(world.stores, world.alpha.id)
        assert sweep_removed(world.stores) == []
        assert world.folder.project(world.alpha.id).manifest.exists(), "nothing is taken from under a writer"
    assert sweep_removed(world.stores) == [world.alpha.id]
    assert world.left_of(world.alpha) == []


def test_a_vector_store_that_is_away_delays_the_sweep_and_forgets_no_collection(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "muniment.removal")
    world.vectors.away = True
    answer = world.remover.remove("alpha", confirm=True)
    assert (answer.swept, answer.memories) == (False, 2)
    assert "does not answer" in caplog.text
    assert sweep_removed(world.stores) == []
    world.vectors.away = False
    assert sweep_removed(world.stores) == [world.alpha.id]
    assert world.left_of(world.alpha) == []
    world.check_neighbour()


def test_a_redis_that_is_away_delays_the_sweep_only(world: World, redis_server: FakeServer) -> None:
    redis_server.connected = False
    answer = world.remover.remove("alpha", confirm=True)
    assert not answer.swept
    assert world.services.projects.find("alpha") is None
    redis_server.connected = True
    assert sweep_removed(world.stores) == [world.alpha.id]
    assert world.left_of(world.alpha) == []


def test_one_project_that_cannot_be_swept_holds_up_no_other(world: World) -> None:
    world.services.projects.remove(world.alpha.id, NOW)
    world.services.projects.remove(world.neighbour.id, NOW)
    with writing(world.folder.project(world.alpha.id).path):
        assert sweep_removed(world.stores) == [world.neighbour.id]


def test_a_damaged_manifest_does_not_keep_the_folder(world: World) -> None:
    manifest = world.folder.project(world.alpha.id).manifest
    for path in manifest.parent.glob("manifest*"):
        path.unlink()
    manifest.write_bytes(b"no database" * 100)
    assert world.remover.remove("alpha", confirm=True).swept
    assert world.folder.project(world.alpha.id).path.exists() is False


def test_a_folder_that_came_back_is_swept_too(world: World) -> None:
    world.services.projects.remove(world.alpha.id, NOW)
    with pytest.raises(InterruptedError):
        sweep(world.stores, world.alpha.id, interrupted_at(Step.FOLDER_RENAMED))
    assert world.folder.trash(world.alpha.id).is_dir()
    PushedFiles(world.folder.project(world.alpha.id).pushed).make()
    assert sweep_removed(world.stores) == [world.alpha.id]
    assert world.left_of(world.alpha) == []


def interrupted_at(last: Step) -> Callable[[Step], None]:
    def reached(step: Step) -> None:
        if step == last:
            raise InterruptedError

    return reached
