import logging
import os
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from muniment.project import Project
from muniment.projects import ProjectStore
from muniment_watcher.debounce import Due
from muniment_watcher.news import is_about_projects
from muniment_watcher.observer import Observer
from muniment_watcher.pending import Change, Pending
from muniment_watcher.roster import Roster
from muniment_watcher.watcher import indexed_paths

pytestmark = pytest.mark.filterwarnings("ignore:Callback with id:RuntimeWarning")  # a second watch on one folder
RECONCILE: Due[Change] = Due(reconcile=True)


class NoNews:
    def __init__(self) -> None:
        self.heard = threading.Event()

    def arrived(self, timeout: float) -> bool:
        heard = self.heard.wait(timeout)
        self.heard.clear()
        return heard

    def close(self) -> None:
        pass


class World:
    def __init__(self, tmp_path: Path) -> None:
        self.folder = tmp_path.resolve()
        self.store = ProjectStore(self.folder / "server.sqlite")
        self.observer = Observer()
        self.pending = Pending(0.0)
        self.news = NoNews()
        self.roster = Roster(self.store, self.news, self.observer, self.pending, 1_000_000)  # type: ignore[arg-type]

    def root(self, name: str = "src") -> Path:
        root = self.folder / name
        root.mkdir(exist_ok=True)
        os.utime(root, (0, 0))
        return root

    def project(self, name: str = "alpha", watch: bool | None = None, roots: list[Path] | None = None) -> Project:
        paths = [str(root) for root in roots or [self.root()]]
        now = datetime.now(UTC)
        return self.store.add_or_update(
            name, watch_paths=paths, watch_patterns=None, watch_exclude=None, watch=watch, now=now
        )[0]

    def taken(self, project: Project) -> set[str]:
        """The names of what changed and is due now."""
        return {Path(change.path).name for change in self.pending.take(0).get(project.id, Due()).items}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.roster.close()
    world.observer.close()
    world.store.close()


def test_at_the_start_every_watched_project_is_reconciled(world: World):
    alpha, beta = world.project("alpha"), world.project("beta")
    world.project("gamma", watch=False)
    world.roster.align(at_start=True)
    assert world.pending.take(0) == {alpha.id: RECONCILE, beta.id: RECONCILE}


def test_a_project_that_came_later_is_watched_without_another_reconcile(world: World, until: Callable[..., object]):
    world.roster.align(at_start=True)
    project = world.project()
    world.roster.align()
    assert world.pending.take(0) == {}
    (world.root() / "a.py").write_text("a")
    until(lambda: "a.py" in world.taken(project))


def test_what_changed_between_a_new_project_and_its_watches_is_not_lost(world: World):
    root = world.root()
    (root / "old.py").write_text("old")
    os.utime(root / "old.py", (1_000, 1_000))
    project = world.project()
    (root / "new.py").write_text("new")
    world.roster.align()
    assert world.taken(project) == {"new.py", root.name}


def test_a_project_that_must_not_be_watched_is_left_alone(world: World, until: Callable[..., object]):
    project = world.project(watch=False)
    world.roster.align(at_start=True)
    assert world.roster.find(project.id) is None
    project = world.project(watch=True)
    world.roster.align()
    (world.root() / "a.py").write_text("a")
    until(lambda: "a.py" in world.taken(project))
    world.project(watch=False)
    world.roster.align()
    assert world.roster.find(project.id) is None
    (world.root() / "b.py").write_text("b")
    assert world.pending.take(0.05) == {}


def test_a_removed_project_is_not_watched_any_more(world: World):
    project = world.project()
    world.roster.align(at_start=True)
    world.store.remove(project.id, project.updated_at)
    world.roster.align()
    assert world.roster.find(project.id) is None
    assert world.pending.take(0) == {}


def test_other_folders_replace_the_first(world: World, until: Callable[..., object]):
    project = world.project()
    world.roster.align()
    world.project(roots=[world.root("other")])
    world.roster.align()
    (world.root() / "a.py").write_text("a")
    (world.root("other") / "b.py").write_text("b")
    found: set[str] = set()
    until(lambda: found.update(world.taken(project)) or "b.py" in found)
    assert "a.py" not in found


def test_an_unchanged_project_keeps_its_watches(world: World):
    project = world.project()
    world.roster.align()
    before = world.roster.find(project.id)
    world.roster.align()
    assert world.roster.find(project.id) is before


def test_two_projects_over_one_folder_both_get_its_changes(world: World, until: Callable[..., object]):
    alpha, beta = world.project("alpha"), world.project("beta")
    world.roster.align()
    (world.root() / "a.py").write_text("a")
    seen: set[str] = set()
    until(lambda: seen.update(world.pending.take(0)) or seen == {alpha.id, beta.id})


def test_missed_changes_set_the_watches_again_and_reconcile(world: World):
    project = world.project()
    world.roster.align()
    world.roster.missed(project.id, str(world.root()))
    world.roster.missed("removed-meanwhile", "/somewhere")
    world.roster.mend()
    assert world.pending.take(0) == {project.id: RECONCILE}
    world.roster.mend()
    assert world.pending.take(0) == {}


def test_new_rules_have_every_root_watched_again(world: World):
    project = world.project(roots=[world.root("one"), world.root("two")])
    world.roster.align()
    world.roster.refresh(project.id)
    world.roster.refresh("unknown")
    world.roster.mend()
    assert world.pending.take(0) == {project.id: RECONCILE}


def test_a_root_that_is_away_is_reported_and_watched_when_it_is_back(
    world: World, caplog: pytest.LogCaptureFixture, until: Callable[..., object]
):
    root = world.root()
    project, other = world.project(), world.project("other", roots=[world.root("other")])
    shutil.rmtree(root)
    world.roster.align(at_start=True)
    assert "is away" in caplog.text
    world.pending.take(0)
    world.roster.check()
    world.roster.mend()
    assert world.pending.take(0) == {}  # still away: no reason for another pass
    (world.root("other") / "b.py").write_text("b")
    until(lambda: "b.py" in world.taken(other))
    root.mkdir()
    world.roster.check()
    world.roster.mend()
    assert world.pending.take(0)[project.id] == RECONCILE
    assert "is back" in caplog.text
    (root / "a.py").write_text("a")
    until(lambda: "a.py" in world.taken(project))


def test_a_root_that_goes_away_is_reported_once(world: World, caplog: pytest.LogCaptureFixture):
    project = world.project()
    world.roster.align()
    shutil.rmtree(world.root())
    for _ in range(3):
        world.roster.check()
        world.roster.mend()
    assert world.pending.take(0) == {project.id: RECONCILE}
    assert caplog.text.count("is away") == 1


def test_a_database_that_cannot_be_read_leaves_everything_as_it_is(world: World, monkeypatch: pytest.MonkeyPatch):
    project = world.project()
    world.roster.align()

    def fail() -> list[Project]:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(world.store, "all", fail)
    assert not world.roster.align()
    assert world.roster.find(project.id) is not None


def test_it_follows_the_news_until_it_is_stopped(
    world: World, caplog: pytest.LogCaptureFixture, until: Callable[..., object]
):
    caplog.set_level(logging.INFO)
    alpha = world.project("alpha")
    stop = threading.Event()
    thread = threading.Thread(target=world.roster.run, args=(stop,))
    thread.start()
    try:
        until(lambda: world.pending.take(0) == {alpha.id: RECONCILE})
        beta = world.project("beta")
        world.news.heard.set()
        until(lambda: world.roster.find(beta.id))
    finally:
        stop.set()
        thread.join(10)
    assert not thread.is_alive()
    assert world.roster.find(alpha.id) is None


def test_only_what_belongs_to_the_project_becomes_an_indexed_path(world: World):
    project = world.project(roots=[world.root("one"), world.root("two")])
    world.roster.align()
    watched = world.roster.find(project.id)
    assert watched is not None
    one = world.root("one")
    (one / ".gitignore").write_text("*.log\n")
    changes = [
        Change(str(one / "a.py"), False),
        Change(str(one / "trace.log"), False),
        Change(str(one / "sub"), True),
        Change(str(one), True),
        Change(str(one / ".git" / "HEAD"), False),
        Change(str(one / os.fsdecode(b"\xff.py")), False),
        Change(str(world.root("two") / "b.py"), False),
        Change(str(world.folder / "elsewhere"), False),
    ]
    assert list(indexed_paths(watched, changes)) == ["one/a.py", "one/sub", "one", "two/b.py"]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("project_created", True), ("project_removed", True), ("index_progress", False), ("x", False)],
)
def test_only_events_about_projects_matter(kind: str, expected: bool):
    assert is_about_projects(f'1-1 {{"type": "{kind}", "data": {{"type": "project_created"}}}}') is expected
