"""The watcher against a real Valkey and real file events."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from rq import Queue

from muniment.bus import Bus
from muniment.dirty import DirtyPaths
from muniment.events import Event, EventType
from muniment.jobs import JobKind, JobStatus
from muniment.leases import Leases
from muniment.process import spawn, stop_child
from muniment.project import Project
from muniment.projects import ProjectStore
from muniment.queue import JobQueue
from muniment.redis_client import connect, queue_name
from muniment.settings import Settings
from muniment.stack.children import valkey_child
from muniment_watcher.__main__ import build
from muniment_watcher.observer import Observer
from muniment_watcher.pending import LIMIT
from muniment_watcher.watcher import DIRTY_LIMIT

Until = Callable[..., object]
pytestmark = pytest.mark.filterwarnings("ignore:Callback with id:RuntimeWarning")  # a second watch on one folder


class Service:
    """A watcher in a thread, and what a gateway and a worker would see of it."""

    def __init__(self, folder: Path, url: str) -> None:
        self.settings = Settings(data_dir=folder / "data", redis_url=url, debounce_seconds=0.05)
        self.connections = connect(url)
        self.store = ProjectStore(self.settings.folder.server_db)
        self.bus = Bus(self.connections.records)
        self.leases = Leases(self.connections.records, seconds=60, max_running=3)
        self.queue = JobQueue(self.connections, self.bus, self.leases)
        self.dirty = DirtyPaths(self.connections.records)
        self.stop = threading.Event()
        self.thread: threading.Thread | None = None
        self.root = folder.resolve() / "src"
        self.root.mkdir()
        (self.root / "a.py").write_text("a")
        self.edits = 0

    def project(self, name: str = "alpha", *, watch: bool = True, tell: bool = True) -> Project:
        project, _ = self.store.add_or_update(
            name,
            watch_paths=[str(self.root)],
            watch_patterns=None,
            watch_exclude=None,
            watch=watch,
            now=datetime.now(UTC),
        )
        if tell:
            event = Event(type=EventType.PROJECT_UPDATED, at=datetime.now(UTC), project_id=project.id)
            self.bus.publish(event)
        return project

    def start(self) -> None:
        watcher = build(self.settings, connect(str(self.settings.redis_url)), self.store, Observer())
        self.thread = threading.Thread(target=watcher.run, args=(self.stop,))
        self.thread.start()

    def end(self) -> None:
        self.stop.set()
        if self.thread is not None:
            self.thread.join(10)
            assert not self.thread.is_alive()
        self.store.close()
        self.connections.close()

    def paths(self, project: Project) -> dict[str, int]:
        return self.dirty.peek(project.id, 10_000)

    def hears_of_edits(self, *projects: Project) -> bool:
        """Edits a new file each time, so that none is held back by the one before."""
        self.edits += 1
        (self.root / f"edit-{self.edits}.py").write_text("x")
        return all(any(path.startswith("edit-") for path in self.paths(project)) for project in projects)

    def waiting(self, project: Project, kind: JobKind) -> bool:
        job = next(iter(self.queue.waiting(project.id)), None)
        return job is not None and job.kind == kind

    def run_waiting(self, project: Project) -> None:
        """As a worker would: ends the waiting job, having taken every dirty path."""
        lease = self.leases.acquire(project.id, "test")
        job = self.queue.claim_next(lease)  # type: ignore[arg-type]
        assert job is not None
        self.dirty.remove(project.id, self.paths(project))
        assert self.queue.finish(lease, job, JobStatus.COMPLETED, job)  # type: ignore[arg-type]
        self.leases.release(lease)  # type: ignore[arg-type]


@pytest.fixture
def service(tmp_path: Path, valkey_url: str) -> Iterator[Service]:
    service = Service(tmp_path, valkey_url)
    yield service
    service.end()


@pytest.fixture
def watched(service: Service, until: Until) -> Project:
    """A project that was reconciled and is being watched."""
    project = service.project(tell=False)
    service.start()
    until(lambda: service.waiting(project, JobKind.RECONCILE))
    service.run_waiting(project)
    return project


def test_at_its_start_it_asks_for_a_reconcile(service: Service, until: Until):
    project = service.project(tell=False)
    service.start()
    until(lambda: service.waiting(project, JobKind.RECONCILE))
    until(lambda: service.queue.bells.unanswered(project.id) == 1)
    assert service.paths(project) == {}


def test_an_edit_becomes_a_dirty_path_and_a_ring(service: Service, watched: Project, until: Until):
    Queue(queue_name(watched.id), connection=service.connections.rq).empty()  # the bell of its first reconcile
    (service.root / "a.py").write_text("b")
    until(lambda: service.waiting(watched, JobKind.UPDATE))
    assert list(service.paths(watched)) == ["a.py"]
    until(lambda: service.queue.bells.unanswered(watched.id) == 1)


def test_later_changes_have_later_sequences_and_join_the_waiting_update(
    service: Service, watched: Project, until: Until
):
    (service.root / "a.py").write_text("b")
    until(lambda: service.waiting(watched, JobKind.UPDATE))
    [job] = service.queue.waiting(watched.id)
    (service.root / "b.py").write_text("b")
    until(lambda: "b.py" in service.paths(watched))
    before = service.paths(watched)
    assert before["b.py"] > before["a.py"]
    (service.root / "a.py").write_text("again")
    until(lambda: service.paths(watched)["a.py"] > before["b.py"])
    [now] = service.queue.waiting(watched.id)
    assert now.id == job.id


def test_added_removed_and_renamed_files_are_dirty(service: Service, watched: Project, until: Until):
    (service.root / "new.py").write_text("n")
    until(lambda: "new.py" in service.paths(watched))
    (service.root / "a.py").unlink()
    until(lambda: "a.py" in service.paths(watched))
    (service.root / "new.py").rename(service.root / "newer.py")
    until(lambda: {"new.py", "newer.py"} <= service.paths(watched).keys())


def test_a_new_folder_is_dirty_as_a_whole(service: Service, watched: Project, until: Until):
    (service.root / "lib").mkdir()
    (service.root / "lib" / "x.py").write_text("x")
    until(lambda: "lib" in service.paths(watched))
    shutil.rmtree(service.root / "lib")
    before = service.paths(watched)["lib"]
    until(lambda: service.paths(watched)["lib"] >= before)


def test_what_is_ignored_wakes_nobody(service: Service, watched: Project, until: Until):
    (service.root / ".gitignore").write_text("*.log\n")
    until(lambda: service.waiting(watched, JobKind.RECONCILE))
    service.run_waiting(watched)
    (service.root / "trace.log").write_text("x")
    (service.root / ".git").mkdir()
    (service.root / ".git" / "index").write_text("x")
    (service.root / "a.py").write_text("last")
    until(lambda: "a.py" in service.paths(watched))
    assert list(service.paths(watched)) == ["a.py"]


def test_a_changed_ignore_file_asks_for_a_reconcile_and_is_obeyed(service: Service, watched: Project, until: Until):
    (service.root / "out").mkdir()
    until(lambda: "out" in service.paths(watched))
    until(lambda: service.queue.waiting(watched.id))  # asked for after the path was noted
    service.run_waiting(watched)
    (service.root / ".munimentignore").write_text("out/\n")
    until(lambda: service.waiting(watched, JobKind.RECONCILE))
    service.run_waiting(watched)
    (service.root / "out" / "x.py").write_text("x")
    (service.root / "a.py").write_text("last")
    until(lambda: "a.py" in service.paths(watched))
    assert "out/x.py" not in service.paths(watched)


def test_a_project_that_is_not_to_be_watched_is_left_alone(service: Service, watched: Project, until: Until):
    other = service.project("beta", watch=False)
    (service.root / "a.py").write_text("b")
    until(lambda: "a.py" in service.paths(watched))
    assert service.paths(other) == {}
    assert service.queue.current(other.id) is None


def test_watching_can_be_turned_on_and_off(service: Service, watched: Project, until: Until):
    beta = service.project("beta", watch=False)
    service.project("beta", watch=True)
    until(lambda: service.hears_of_edits(beta))
    service.project("alpha", watch=False)

    def alpha_is_left_alone() -> bool:
        seen = service.paths(watched)
        time_of_edit = service.dirty.last(beta.id)
        (service.root / "a.py").write_text("c")
        until(lambda: service.dirty.last(beta.id) > time_of_edit)
        return service.paths(watched) == seen

    until(alpha_is_left_alone)


def test_a_project_that_is_made_later_is_watched(service: Service, until: Until):
    service.start()
    project = service.project()
    until(lambda: service.hears_of_edits(project))


def test_two_projects_over_one_folder_are_both_told(service: Service, watched: Project, until: Until):
    beta = service.project("beta")
    until(lambda: service.hears_of_edits(watched, beta))


def test_a_removed_project_is_not_written_about(service: Service, watched: Project, until: Until):
    beta = service.project("beta")
    service.store.remove(watched.id, datetime.now(UTC))
    service.bus.publish(Event(type=EventType.PROJECT_REMOVED, at=datetime.now(UTC), project_id=watched.id))
    until(lambda: service.hears_of_edits(beta))

    def quiet() -> bool:
        before, mark = service.paths(watched), service.dirty.last(beta.id)
        (service.root / "a.py").write_text("c")
        until(lambda: service.dirty.last(beta.id) > mark)
        return service.paths(watched) == before

    until(quiet)


def test_thousands_of_new_files_end_as_a_reconcile(service: Service, watched: Project, until: Until):
    burst = f"for n in range(5000): open('{service.root}/file-%d.py' % n, 'w').write('x')"
    subprocess.run([sys.executable, "-c", burst], check=True)
    until(lambda: service.waiting(watched, JobKind.RECONCILE))
    assert service.dirty.count(watched.id) <= LIMIT + DIRTY_LIMIT


def test_lost_events_end_as_a_reconcile(service: Service, watched: Project, until: Until):
    limit = Path("/proc/sys/fs/inotify/max_queued_events")
    if not limit.exists():
        pytest.skip("no inotify")
    from watchdog.observers.inotify_c import InotifyFD

    released = threading.Event()
    real = InotifyFD.handle_event

    def stuck(self: InotifyFD, event: object) -> None:
        released.wait(60)
        real(self, event)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(InotifyFD, "handle_event", stuck)
        (service.root / "a.py").write_text("first")
        path = str(service.root / "busy")
        for number in range(int(limit.read_text()) + 10):  # alternating names are not merged by the kernel
            os.close(os.open(f"{path}-{number % 2}", os.O_CREAT | os.O_WRONLY))
            Path(f"{path}-{number % 2}").unlink()
        (service.root / "unseen").mkdir()
        released.set()
        until(lambda: service.waiting(watched, JobKind.RECONCILE), 30)
    service.run_waiting(watched)
    (service.root / "unseen" / "x.py").write_text("x")
    until(lambda: "unseen/x.py" in service.paths(watched))


def test_a_root_that_vanishes_does_not_stop_the_others(
    service: Service, watched: Project, until: Until, tmp_path: Path
):
    other_root = tmp_path.resolve() / "other"
    other_root.mkdir()
    service.root, first = other_root, service.root
    other = service.project("beta")
    until(lambda: service.hears_of_edits(other))
    shutil.rmtree(first)
    until(lambda: service.waiting(watched, JobKind.RECONCILE))
    (other_root / "c.py").write_text("c")
    until(lambda: "c.py" in service.paths(other))


def test_changes_made_while_redis_is_away_are_told_when_it_is_back(tmp_path: Path, until: Until):
    with TemporaryDirectory(prefix="muniment-test-") as name:
        spec, url = valkey_child(Path(name) / "redis")

        def start() -> subprocess.Popen[bytes]:
            process = spawn(spec.argv, env=spec.env, output=subprocess.DEVNULL)
            until(spec.ready)
            return process

        server = start()
        service = Service(tmp_path, url)
        project = service.project(tell=False)
        try:
            service.start()
            until(lambda: service.waiting(project, JobKind.RECONCILE))
            service.run_waiting(project)
            stop_child(server, grace=5.0)
            (service.root / "b.py").write_text("b")
            beta = service.project("beta", tell=False)
            (service.root / "late").write_text("x")
            server = start()
            until(lambda: {"b.py", "late"} <= service.paths(project).keys(), 20)
            until(lambda: service.hears_of_edits(beta), 20)
        finally:
            service.end()
            stop_child(server, grace=5.0)


def test_from_an_edit_to_redis_it_takes_little_more_than_the_quiet_time(
    service: Service, watched: Project, until: Until
):
    latencies = []
    for number in range(10):
        (service.root / f"{number}.py").write_text("x")
        began = time.monotonic()
        until(lambda name=f"{number}.py": name in service.paths(watched))
        latencies.append(time.monotonic() - began)
    assert sorted(latencies)[5] < service.settings.debounce_seconds + 0.1


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_service_promptly_and_cleanly(service: Service, until: Until, sign: signal.Signals):
    service.project(tell=False)
    env = {
        **os.environ,
        "MUNIMENT_DATA_DIR": str(service.settings.data_dir),
        "MUNIMENT_REDIS_URL": str(service.settings.redis_url),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    process = subprocess.Popen([sys.executable, "-m", "muniment_watcher"], env=env, stderr=subprocess.PIPE)
    try:
        until(service.queue.projects_with_work)
        process.send_signal(sign)
        began = time.monotonic()
        _, output = process.communicate(timeout=10)
    finally:
        process.kill()
    assert process.returncode == 0, output
    assert time.monotonic() - began < 3.0
    assert b"Traceback" not in output


def test_without_redis_configured_it_says_what_to_set(tmp_path: Path):
    env = {**os.environ, "MUNIMENT_DATA_DIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-m", "muniment_watcher"], env=env, capture_output=True, timeout=30, check=False
    )
    assert done.returncode == 1
    assert b"MUNIMENT_REDIS_URL" in done.stderr
