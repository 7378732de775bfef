"""Workers, stores and whole containers that die or stand still: each job ends once, and no trace is left."""

import contextlib
import shutil
import signal
import subprocess
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import pytest
from fleet import PATIENT, Fleet, attempts, ended, has_ended_well, let_go, waits_for
from store_server import StoreServer

from muniment.datafolder import DataFolder
from muniment.job_records import RESTING
from muniment.jobs import JobStatus, Phase
from muniment.projects import ProjectStore
from muniment.stack.children import chroma_child, valkey_child

pytestmark = pytest.mark.endurance
FILES = 400
TAKEN_UP_SECONDS = 30.0  # 10 by promise, on a machine that does nothing else
DRAINED_SECONDS = 5.0
OUTAGE_SECONDS = 8.0  # longer than the lease of the fleet and than the worker's own patience
IMPATIENT = {"muniment.indexing.vector_stage.PATIENCE_SECONDS": 0.2, "muniment_worker.tasks.FIRST_RETRY_SECONDS": 1.0}


@pytest.fixture
def servers():
    """Makes a store of the test's own: ``servers(valkey_child)``."""
    with TemporaryDirectory(prefix="muniment-test-") as name, contextlib.ExitStack() as stack:

        def start(child):
            spec, url = child(Path(name) / child.__name__)
            server = StoreServer(spec, url, Path(name) / child.__name__)
            stack.callback(server.stop)
            server.start()
            return server

        yield start


@pytest.fixture
def make_fleet(tmp_path):
    made = []

    def make(redis_url, chroma_url):
        made.append(Fleet(tmp_path, redis_url, chroma_url))
        return made[-1]

    yield make
    for fleet in made:
        fleet.stop()


@pytest.fixture
def fleet(make_fleet, valkey_url, chroma_url):
    return make_fleet(valkey_url, chroma_url)


# --- processes that are killed ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("victim", ["horse", "worker", "supervisor", "all"])
def test_whichever_process_is_killed_the_job_completes_once(fleet, until, victim):
    project = fleet.project("alpha", FILES)
    supervisor = fleet.start()
    job_id = fleet.request(project)
    until(lambda: fleet.in_the_middle(project), PATIENT)
    horse = fleet.horse(project)
    worker = horse.parent()
    doomed = {"horse": [horse], "worker": [worker], "supervisor": [supervisor], "all": [horse, worker, supervisor]}
    family = [supervisor, *fleet.family(supervisor.pid)]
    for process in doomed[victim]:
        process.kill()
    leaves = {"horse": [horse], "worker": [worker, horse]}.get(victim, family)
    _, alive = psutil.wait_procs(leaves, timeout=5)
    assert alive == []
    if victim in {"supervisor", "all"}:
        fleet.start()
    waits_for(until, attempts(fleet, job_id, 2), TAKEN_UP_SECONDS, f"taken up after {victim} was killed")
    has_ended_well(fleet, project, job_id, until)
    assert fleet.queue.get(job_id).attempt == 2


def test_a_process_that_stands_still_for_good_is_killed_by_its_worker(fleet, until):
    project = fleet.project("alpha", FILES)
    fleet.start()
    job_id = fleet.request(project)
    until(lambda: fleet.in_the_middle(project), PATIENT)
    horse = fleet.horse(project)
    horse.suspend()
    waits_for(until, lambda: not horse.is_running(), 60, "killed by its worker")
    has_ended_well(fleet, project, job_id, until)
    assert fleet.queue.crashes(fleet.queue.get(job_id)) == 1


# --- stores that are away ---------------------------------------------------------------------------------------------


@contextlib.contextmanager
def standing_still(server):
    server.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        server.signal(signal.SIGCONT)


def for_a_while(until, seconds):
    """Waits on the clock: what is tested is that a fault of this length was outlived."""
    end = time.monotonic() + seconds
    until(lambda: time.monotonic() >= end, seconds + 5)


def test_a_redis_that_stands_still_for_longer_than_the_lease(make_fleet, servers, chroma_url, until):
    valkey = servers(valkey_child)
    fleet = make_fleet(valkey.url, chroma_url)
    project = fleet.project("alpha", FILES)
    fleet.start()
    job_id = fleet.request(project)
    until(lambda: fleet.in_the_middle(project), PATIENT)
    with standing_still(valkey):
        for_a_while(until, OUTAGE_SECONDS)
    waits_for(until, lambda: fleet.queue.get(job_id).attempt >= 2 or ended(fleet, job_id)(), TAKEN_UP_SECONDS, "Redis")
    has_ended_well(fleet, project, job_id, until)


@pytest.mark.parametrize("fault", ["killed", "stopped"])
def test_a_worker_that_waits_answers_soon_after_redis_is_back(make_fleet, servers, chroma_url, until, fault):
    valkey = servers(valkey_child)
    fleet = make_fleet(valkey.url, chroma_url)
    project = fleet.project("alpha", 3)
    fleet.start()
    until(ended(fleet, fleet.request(project)), PATIENT)
    if fault == "killed":
        valkey.kill()
        for_a_while(until, OUTAGE_SECONDS)
        valkey.start()
    else:
        with standing_still(valkey):
            for_a_while(until, OUTAGE_SECONDS)
    job_id = fleet.request(project)
    waits_for(until, ended(fleet, job_id), TAKEN_UP_SECONDS, f"a job after Redis was {fault}")


def test_a_stuck_job_is_killed_although_redis_was_restarted_meanwhile(make_fleet, servers, chroma_url, until):
    valkey = servers(valkey_child)
    fleet = make_fleet(valkey.url, chroma_url)
    fleet.environment["MUNIMENT_LEASE_SECONDS"] = "60"  # so that nothing else ends it
    project = fleet.project("alpha", FILES)
    fleet.start()
    job_id = fleet.request(project)
    until(lambda: fleet.in_the_middle(project), PATIENT)
    horse = fleet.horse(project)
    horse.suspend()
    valkey.kill()
    valkey.start()
    fleet.queue.cancel(job_id)
    waits_for(until, lambda: not horse.is_running(), TAKEN_UP_SECONDS, "stuck process killed")
    until(let_go(fleet, project), 10)


def test_a_job_waits_for_chroma_with_backoff_while_others_run_and_completes_when_it_is_back(
    make_fleet, servers, valkey_url, until
):
    chroma = servers(chroma_child)
    fleet = make_fleet(valkey_url, chroma.url)
    project, other = fleet.project("alpha", 20), fleet.project("beta", 3)
    chroma.kill()
    fleet.start(IMPATIENT)
    job_id = fleet.request(project)
    until(lambda: fleet.queue.get(job_id).blocked_by == RESTING, PATIENT)
    job = fleet.queue.get(job_id)
    assert (job.status, job.error.code, job.retries) == (JobStatus.BLOCKED, "chroma_unavailable", 1)
    assert job.retry_at is not None
    assert fleet.counters(project).files_lexical == 20
    assert let_go(fleet, project)()
    # words of others are indexed meanwhile
    fleet.request(other)
    until(lambda: fleet.counters(other) is not None and fleet.counters(other).files_lexical == 3, PATIENT)
    until(lambda: fleet.queue.get(job_id).retries >= 2, PATIENT)
    chroma.start()
    has_ended_well(fleet, project, job_id, until, 20)
    assert fleet.queue.get(job_id).error is None


def test_a_job_whose_store_stays_away_fails_with_what_to_do(make_fleet, servers, valkey_url, until):
    chroma = servers(chroma_child)
    fleet = make_fleet(valkey_url, chroma.url)
    fleet.environment["MUNIMENT_RETRIES"] = "1"
    project = fleet.project("alpha", 3)
    chroma.kill()
    fleet.start(IMPATIENT)
    job_id = fleet.request(project)
    until(ended(fleet, job_id, JobStatus.FAILED), PATIENT)
    job = fleet.queue.get(job_id)
    assert (job.error.code, job.retries) == ("chroma_unavailable", 1)
    assert "MUNIMENT_CHROMA_URL" in job.error.remedy
    chroma.start()
    again = fleet.queue.retry(job_id).job_id
    has_ended_well(fleet, project, again, until, 3)


def test_a_job_that_waits_for_a_store_is_cancelled_and_holds_up_nothing(make_fleet, servers, valkey_url, until):
    chroma = servers(chroma_child)
    fleet = make_fleet(valkey_url, chroma.url)
    project = fleet.project("alpha", 3)
    chroma.kill()
    fleet.start({**IMPATIENT, "muniment_worker.tasks.FIRST_RETRY_SECONDS": 3600.0})
    job_id = fleet.request(project)
    until(lambda: fleet.queue.get(job_id).blocked_by == RESTING, PATIENT)
    behind = fleet.request(project)
    assert fleet.queue.get(behind).blocked_by == job_id
    fleet.queue.cancel(job_id)
    chroma.start()
    has_ended_well(fleet, project, behind, until, 3)


def test_a_pass_outlives_a_chroma_that_stands_still(make_fleet, servers, valkey_url, until):
    chroma = servers(chroma_child)
    fleet = make_fleet(valkey_url, chroma.url)
    fleet.environment["MUNIMENT_BATCH_CHUNKS"] = "20"
    project = fleet.project("alpha", FILES)
    fleet.start()
    job_id = fleet.request(project)
    until(lambda: fleet.queue.get(job_id).phase == Phase.VECTORS, PATIENT)
    with standing_still(chroma):
        for_a_while(until, OUTAGE_SECONDS)
    has_ended_well(fleet, project, job_id, until)
    assert fleet.queue.get(job_id).attempt == 1


@pytest.fixture
def volume(tmp_path):
    """A file system of 200 MB."""
    folder = tmp_path / "volume"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=200m", "none", folder]
    mounted = subprocess.run(command, check=False, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"NOT TESTED, a full disk: no right to mount a file system ({mounted.stderr.strip()})")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_job_waits_for_a_full_disk_and_completes_when_there_is_space(volume, fleet, until):
    fleet.folder = DataFolder(volume / "data")
    fleet.projects = ProjectStore(fleet.folder.server_db)
    fleet.environment["MUNIMENT_DATA_DIR"] = str(fleet.folder.path)
    project = fleet.project("alpha", 20)
    with (volume / "filler").open("wb") as filler:
        filler.write(b"\0" * (shutil.disk_usage(volume).free - (20 << 20)))
    fleet.start(IMPATIENT)
    job_id = fleet.request(project)
    until(lambda: fleet.queue.get(job_id).blocked_by == RESTING, PATIENT)
    assert fleet.queue.get(job_id).error.code == "disk_full"
    (volume / "filler").unlink()
    has_ended_well(fleet, project, job_id, until, 20)


# --- shutdown ---------------------------------------------------------------------------------------------------------


def is_put_back(fleet, project, job_id, supervisor):
    assert supervisor.wait(timeout=20) is not None
    job = fleet.queue.get(job_id)
    assert (job.status, job.attempt, fleet.queue.crashes(job)) == (JobStatus.QUEUED, 0, 0)
    assert fleet.leases.holder(project.id) is None
    assert fleet.leases.slots_used() == 0


@pytest.mark.parametrize("phase", [Phase.SCAN, Phase.LEXICAL, Phase.VECTORS])
def test_a_worker_that_is_told_to_stop_puts_its_job_back_in_any_phase(fleet, until, phase):
    fleet.environment["MUNIMENT_BATCH_CHUNKS"] = "20"
    files = FILES
    if phase == Phase.SCAN:
        files, fleet.environment["MUNIMENT_BATCH_FILES"] = 3000, "500"
        del fleet.environment["MUNIMENT_BATCH_CHUNKS"]
    if phase == Phase.VECTORS:
        files, fleet.environment["MUNIMENT_BATCH_CHUNKS"] = 5 * FILES, "10"  # many rounds: it must not end meanwhile
    project = fleet.project("alpha", files)
    supervisor = fleet.start()
    job_id = fleet.request(project)

    def reached():
        job = fleet.queue.get(job_id)
        return job.status == JobStatus.RUNNING and job.phase == phase

    until(reached, PATIENT)
    family = fleet.family(supervisor.pid)
    began = time.monotonic()
    supervisor.send_signal(signal.SIGTERM)
    supervisor.send_signal(signal.SIGTERM)  # whoever is impatient sends two
    is_put_back(fleet, project, job_id, supervisor)
    print(f"stopped in {phase}: {time.monotonic() - began:.2f} s")
    assert time.monotonic() - began < DRAINED_SECONDS
    _, alive = psutil.wait_procs(family, timeout=5)
    assert alive == []
    behind = fleet.request(project)
    fleet.start()
    has_ended_well(fleet, project, job_id, until, files)
    until(ended(fleet, behind), PATIENT)
    assert fleet.queue.get(job_id).attempt == 1
    assert fleet.queue.get(job_id).finished_at <= fleet.queue.get(behind).started_at


def test_a_worker_that_waits_for_chroma_stops_at_once(make_fleet, servers, valkey_url, until):
    chroma = servers(chroma_child)
    fleet = make_fleet(valkey_url, chroma.url)
    project = fleet.project("alpha", 3)
    chroma.kill()
    supervisor = fleet.start()
    job_id = fleet.request(project)
    until(lambda: fleet.counters(project) is not None and fleet.counters(project).files_lexical == 3, PATIENT)
    began = time.monotonic()
    supervisor.send_signal(signal.SIGTERM)
    is_put_back(fleet, project, job_id, supervisor)
    assert time.monotonic() - began < DRAINED_SECONDS


def test_a_worker_that_is_told_to_stop_while_it_starts_stops_at_once(fleet, until):
    project = fleet.project("alpha", FILES)
    job_id = fleet.request(project)
    supervisor = fleet.start()
    until(lambda: fleet.leases.holder(project.id) is not None, PATIENT)  # forked, or about to be
    began = time.monotonic()
    supervisor.send_signal(signal.SIGTERM)
    supervisor.wait(timeout=20)
    assert time.monotonic() - began < DRAINED_SECONDS
    assert fleet.leases.holder(project.id) is None
    fleet.start()
    has_ended_well(fleet, project, job_id, until)
