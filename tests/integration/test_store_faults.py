"""Stores that die, are lost or run out of space under a pass: it goes on or says why, and the index ends as ever."""

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import index_bench
import psutil
import pytest
from fleet import Fleet
from index_bench import Bench, Interfere
from redis import Redis
from store_server import StoreServer

from muniment.errors import DiskFull, MunimentError
from muniment.events import EventType
from muniment.indexing import Limits, Step
from muniment.indexing.passing import HELPED_FILES
from muniment.jobs import JobStatus
from muniment.stack.children import chroma_child, valkey_child


@pytest.fixture
def place():
    """A folder with a path that is short enough for a socket."""
    with TemporaryDirectory(prefix="muniment-test-") as name:
        yield Path(name)


@contextmanager
def serving(child, folder):
    spec, url = child(folder)
    server = StoreServer(spec, url, folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def chroma(place):
    with serving(chroma_child, place / "chroma") as server:
        yield server


@pytest.fixture
def valkey(place):
    with serving(valkey_child, place / "redis") as server:
        yield server


def fill(bench):
    for number in range(20):
        bench.write(f"pkg/file{number}.py", f"def function_{number}():\n    return 'answer {number}'\n")
    return bench


@pytest.fixture
def own(tmp_path, valkey_url, chroma):
    """A tree whose vectors lie in a Chroma of its own."""
    return fill(Bench(tmp_path, valkey_url, chroma.url))


class Outage(Interfere):
    """Does something at a step; ``back`` is called when the pass waits for a store."""

    def __init__(self, actions, back):
        super().__init__(actions)
        self.back, self.waited = back, 0

    def pause(self, seconds):  # noqa: ARG002
        self.waited += 1
        self.back()


# --- Chroma -----------------------------------------------------------------------------------------------------------


def undisturbed_state(bench):
    bench.run()
    state = bench.state()
    bench.wipe()
    return state


@pytest.mark.parametrize("step", [Step.COLLECTION_CHOSEN, Step.VECTORS_UPSERTED, Step.VECTORS_MARKED])
def test_chroma_killed_in_the_vector_stage_and_started_again(own, chroma, step):
    undisturbed = undisturbed_state(own)
    control = Outage({(step, 1): chroma.kill}, back=lambda: chroma.down and chroma.start())
    own.run(control=control)
    assert control.waited > 0
    assert own.state() == undisturbed


def lose_folder(server):
    shutil.rmtree(server.folder)
    server.folder.mkdir()
    server.start()


def test_chroma_that_lost_its_folder_is_filled_again_from_the_lexical_index(own, chroma):
    own.run()
    undisturbed = own.state()
    chroma.kill()
    lose_folder(chroma)
    for path in own.tree.rglob("*.py"):
        stat = path.stat()
        path.write_bytes(b"#" * stat.st_size)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    progress = own.run(job_id="job-2")
    assert progress.chunks == 0
    assert own.state() == undisturbed


@pytest.mark.parametrize("nth", [1, 2])
def test_chroma_that_loses_its_folder_during_a_pass_is_filled_again(own, chroma, nth):
    undisturbed = undisturbed_state(own)
    control = Outage({(Step.VECTORS_MARKED, nth): chroma.kill}, back=lambda: chroma.down and lose_folder(chroma))
    own.run(control=control)
    assert own.state() == undisturbed


# --- Redis ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def fleet(tmp_path, valkey, chroma_url):
    fleet = Fleet(tmp_path, valkey.url, chroma_url)
    yield fleet
    if valkey.down:
        valkey.start()
    fleet.stop()


def restarted(valkey):
    valkey.kill()
    valkey.start()


def wiped(valkey):
    with Redis.from_url(valkey.url) as redis:
        redis.flushall()
    valkey.kill()
    shutil.rmtree(valkey.folder / "appendonlydir")
    valkey.start()


def truncated(valkey):
    valkey.kill()
    (log,) = (valkey.folder / "appendonlydir").glob("*.incr.aof")
    os.truncate(log, log.stat().st_size * 2 // 3)
    valkey.start()


@pytest.mark.parametrize("fault", [restarted, wiped, truncated])
def test_redis_that_dies_during_a_pass(fleet, valkey, until, fault):
    project = fleet.project("alpha", 400)
    fleet.start()
    job_id = fleet.request(project)
    until(lambda: fleet.in_the_middle(project), 30)
    fault(valkey)
    until(lambda: idle(fleet, project), 60)
    assert fleet.is_complete(project, 400)
    done = [job for job in fleet.queue.list(project_id=project.id).items if job.status == JobStatus.COMPLETED]
    assert len(done) == 1
    told = [event.type for event in fleet.bus.job_events(done[0].id)]
    assert told.count(EventType.INDEX_COMPLETE) == 1
    if fault is restarted:
        assert done[0].id == job_id
    ended = fleet.state(project)
    shutil.rmtree(fleet.folder.project(project.id).path)
    again = fleet.request(project)
    until(lambda: fleet.queue.get(again).status == JobStatus.COMPLETED, 60)
    assert fleet.state(project) == ended


def idle(fleet, project):
    jobs = fleet.queue.list(project_id=project.id).items
    return jobs and all(job.status == JobStatus.COMPLETED for job in jobs) and not fleet.queue.has_work(project.id)


# --- a full disk ------------------------------------------------------------------------------------------------------


@pytest.fixture
def volume(tmp_path):
    """A file system of 64 MB."""
    folder = tmp_path / "volume"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "none", folder], check=False, capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"NOT TESTED, a full disk: no right to mount a file system ({mounted.stderr.strip()})")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def use_up(volume):
    """Until not one byte more can be written."""
    with (volume / "filler").open("ab", buffering=0) as filler:
        size = 1 << 20
        while size:
            try:
                filler.write(b"\0" * size)
            except OSError:
                size //= 2


@pytest.fixture
def cramped(volume, tmp_path, valkey_url, chroma_url):
    """A tree whose index lies on a small volume of its own."""
    bench = fill(Bench(tmp_path, valkey_url, chroma_url))
    bench.folder = type(bench.folder)(volume / "index")
    return bench


FULL_AT = [
    (Step.PLANNED, 1),
    (Step.BATCH_READ, 2),
    (Step.BATCH_NOTED, 2),
    (Step.LEXICAL_COMMITTED, 2),
    (Step.COLLECTION_CHOSEN, 1),
    (Step.VECTORS_UPSERTED, 1),
]


@pytest.mark.parametrize(("step", "nth"), FULL_AT)
def test_a_full_disk_is_named_and_the_next_pass_completes(cramped, volume, step, nth):
    undisturbed = undisturbed_state(cramped)
    with pytest.raises(DiskFull, match=str(volume)):
        cramped.run(control=Interfere({(step, nth): lambda: use_up(volume)}))
    (volume / "filler").unlink()
    cramped.run(job_id="job-2")
    assert cramped.state() == undisturbed


def test_a_pass_on_a_disk_that_was_full_before_says_so(cramped, volume):
    undisturbed = undisturbed_state(cramped)
    use_up(volume)
    with pytest.raises(DiskFull, match=str(volume)):
        cramped.run()
    (volume / "filler").unlink()
    cramped.run()
    assert cramped.state() == undisturbed


def test_a_chroma_whose_disk_is_full_is_named_and_the_next_pass_completes(tmp_path, volume, valkey_url, monkeypatch):
    monkeypatch.setattr("muniment.indexing.vector_stage.PATIENCE_SECONDS", 0.0)
    with serving(chroma_child, volume / "chroma") as chroma:
        bench = fill(Bench(tmp_path, valkey_url, chroma.url))
        undisturbed = undisturbed_state(bench)
        with pytest.raises(DiskFull, match=chroma.url):
            bench.run(control=Interfere({(Step.VECTORS_MARKED, 1): lambda: use_up(volume)}))
        (volume / "filler").unlink()
        bench.run(job_id="job-2")
        assert bench.state() == undisturbed


# --- a project's folder -----------------------------------------------------------------------------------------------


def test_a_folder_that_was_deleted_between_two_passes_is_built_again(bench):
    bench.run()
    undisturbed = bench.state()
    shutil.rmtree(bench.folder.path)
    bench.run(job_id="job-2")
    assert bench.state() == undisturbed


@pytest.mark.parametrize(
    ("step", "nth"),
    [
        (Step.PLANNED, 1),
        (Step.BATCH_NOTED, 2),
        (Step.MANIFEST_COMMITTED, 1),
        (Step.VECTORS_MARKED, 1),
        (Step.FINISHED, 1),
    ],
)
def test_a_folder_that_is_deleted_during_a_pass_fails_it_and_the_next_one_builds_it_again(bench, step, nth):
    undisturbed = undisturbed_state(bench)
    with pytest.raises(MunimentError, match=str(bench.folder.path)):
        bench.run(control=Interfere({(step, nth): lambda: shutil.rmtree(bench.folder.path)}))
    bench.run(job_id="job-2")
    assert bench.state() == undisturbed


# --- helpers ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def large(bench):
    for number in range(HELPED_FILES + 200):
        bench.write(f"src/m{number:04}.py", f"def module_{number}():\n    return {number}\n")
    bench.use(limits=Limits(batch_files=50, batch_chunks=4_000, max_file_bytes=100_000, first_batch_seconds=60))
    return bench


def helpers_below(process):
    return [child for child in process.children(recursive=True) if is_helper(child)]


def is_helper(process):
    try:
        return "muniment.parsing.helper" in process.cmdline()
    except (psutil.ZombieProcess, psutil.NoSuchProcess):
        return False


def test_a_pass_whose_helper_is_killed_ends_as_an_undisturbed_one(large):
    undisturbed = undisturbed_state(large)
    large.use(helpers=2)
    killed = []

    def kill_one():
        victim = helpers_below(psutil.Process())[0]
        victim.kill()
        killed.append(victim.pid)

    large.run(control=Interfere({(Step.MANIFEST_COMMITTED, 2): kill_one, (Step.MANIFEST_COMMITTED, 5): kill_one}))
    assert len(killed) == 2
    assert large.state() == undisturbed
    assert helpers_below(psutil.Process()) == []


def test_a_killed_pass_leaves_no_helper_and_no_lock(large, until):
    undisturbed = undisturbed_state(large)
    given = {
        "tree": str(large.tree), "folder": str(large.folder.path), "redis": large.redis_url, "chroma": large.chroma_url,
        "project_id": large.project.id, "step": None, "nth": 1, "batch_files": 50, "helpers": 2,
    }  # fmt: skip
    process = subprocess.Popen([sys.executable, str(index_bench.RUNNER), json.dumps(given)])
    try:
        helpers = until(lambda: helpers_below(psutil.Process(process.pid)), 30)
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    _, alive = psutil.wait_procs(helpers, timeout=5)
    assert alive == []
    large.run(job_id="job-2")
    assert large.state() == undisturbed
