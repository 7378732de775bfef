"""Jobs that are paused, resumed and cancelled while real processes work on them."""

import contextlib
import signal
import socket

import psutil
import pytest
from fleet import PATIENT, Fleet, ended, let_go, waits_for

from muniment.errors import IllegalMove
from muniment.jobs import JobKind, JobStatus, Phase
from muniment.leases import Lease

LET_GO_SECONDS = 5.0  # far more than it takes, on a machine that is busy with other things
KILLED_SECONDS = 20.0
OPEN_BATCH = 5  # files, MUNIMENT_BATCH_FILES of the fleet


@pytest.fixture
def fleet(tmp_path, valkey_url, chroma_url):
    fleet = Fleet(tmp_path, valkey_url, chroma_url)
    fleet.environment["MUNIMENT_BATCH_CHUNKS"] = "20"
    yield fleet
    fleet.stop()


@contextlib.contextmanager
def held_in(fleet, project, job_id, phase, until):
    """Its process stands still in this phase; it goes on at the end."""

    def reached():
        job = fleet.queue.get(job_id)
        return job.status == JobStatus.RUNNING and job.phase == phase and fleet.horse(project)

    horse = until(reached, PATIENT)
    if phase == Phase.LEXICAL:
        until(lambda: fleet.in_the_middle(project), PATIENT)
    horse.suspend()
    try:
        assert fleet.queue.get(job_id).phase == phase
        yield horse
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            horse.resume()


STAGES = [Phase.LEXICAL, Phase.VECTORS]
PHASES = [Phase.SCAN, *STAGES]
FILES = 400


@pytest.mark.parametrize("phase", STAGES)
def test_a_paused_pass_lets_go_at_once_and_goes_on_where_it_stopped(fleet, until, phase):
    project = fleet.project("alpha", FILES)
    fleet.start()
    job_id = fleet.request(project)
    with held_in(fleet, project, job_id, phase, until):
        paused = fleet.queue.pause(job_id)
    assert paused.status == JobStatus.PAUSED
    waits_for(until, let_go(fleet, project), LET_GO_SECONDS, f"paused in {phase}")
    before = fleet.counters(project)
    assert "!" not in fleet.state(project)
    assert (before.files_lexical < FILES) == (phase == Phase.LEXICAL)
    fleet.queue.resume(job_id)
    until(ended(fleet, job_id), PATIENT)
    job = fleet.queue.get(job_id)
    assert fleet.is_complete(project, FILES)
    assert job.chunks <= FILES - before.files_lexical + OPEN_BATCH
    assert (job.attempt, fleet.queue.crashes(job)) == (2, 0)


def test_while_a_job_is_paused_its_project_takes_edits_and_does_not_go_on_with_it(fleet, until):
    project = fleet.project("alpha", FILES)
    fleet.start()
    job_id = fleet.request(project)
    with held_in(fleet, project, job_id, Phase.LEXICAL, until):
        fleet.queue.pause(job_id)
    until(let_go(fleet, project), LET_GO_SECONDS)
    before = fleet.counters(project)
    update = fleet.edit(project, "while_paused.py", "def written_while_paused(): ...\n")
    until(ended(fleet, update), PATIENT)
    assert fleet.found(project, "written_while_paused")[0] == "while_paused.py"
    until(let_go(fleet, project), LET_GO_SECONDS)
    assert fleet.counters(project).files_lexical == before.files_lexical + 1
    assert fleet.queue.projects_with_work() == []
    assert fleet.queue.get(job_id).status == JobStatus.PAUSED
    fleet.queue.resume(job_id)
    until(ended(fleet, job_id), PATIENT)
    assert fleet.is_complete(project, FILES + 1)


def test_another_request_runs_while_a_job_is_paused(fleet, until):
    project, other = fleet.project("alpha", FILES), fleet.project("beta", 3)
    fleet.start()
    job_id = fleet.request(project)
    with held_in(fleet, project, job_id, Phase.LEXICAL, until):
        fleet.queue.pause(job_id)
    asked = fleet.request(project, JobKind.REINDEX), fleet.request(other)
    for each in asked:
        until(ended(fleet, each), PATIENT)
    assert fleet.is_complete(project, FILES)
    fleet.queue.resume(job_id)
    until(ended(fleet, job_id), PATIENT)
    assert fleet.queue.get(job_id).chunks == 0  # nothing was left of its work


@pytest.mark.parametrize("phase", PHASES)
def test_a_job_is_cancelled_in_any_phase_and_the_next_one_runs(fleet, until, phase):
    files = FILES
    if phase == Phase.SCAN:
        files, fleet.environment["MUNIMENT_BATCH_FILES"] = 3000, "500"
        del fleet.environment["MUNIMENT_BATCH_CHUNKS"]
    project = fleet.project("alpha", files)
    fleet.start()
    job_id = fleet.request(project)
    with held_in(fleet, project, job_id, phase, until):
        fleet.queue.cancel(job_id)
    waits_for(until, let_go(fleet, project), LET_GO_SECONDS, f"cancelled in {phase}")
    assert fleet.queue.get(job_id).status == JobStatus.CANCELLED
    assert "!" not in fleet.state(project)
    (fleet.tmp_path / "alpha/file1.py").write_text("def changed_meanwhile(): ...\n")
    again = fleet.request(project)
    until(ended(fleet, again), PATIENT)
    assert fleet.is_complete(project, files)
    assert fleet.found(project, "changed_meanwhile")[0] == "file1.py"


def test_a_job_that_waits_is_cancelled_at_once(fleet):
    held = [fleet.leases.acquire(f"other-{number}", f"someone-{number}") for number in range(3)]
    assert all(isinstance(lease, Lease) for lease in held)
    job_id = fleet.request(fleet.project("alpha", 3))
    assert fleet.queue.cancel(job_id).status == JobStatus.CANCELLED
    assert fleet.queue.projects_with_work() == []


def test_a_job_that_is_paused_and_resumed_at_once_goes_on_and_is_not_killed_for_it(fleet, until):
    project = fleet.project("alpha", FILES)
    fleet.start({"muniment_worker.supervisor.STUCK_SECONDS": 1.0})
    job_id = fleet.request(project)
    for _ in range(4):
        until(lambda: fleet.queue.get(job_id).status == JobStatus.RUNNING, PATIENT)
        fleet.queue.pause(job_id)
        fleet.queue.resume(job_id)
    until(ended(fleet, job_id), PATIENT)
    assert fleet.queue.crashes(fleet.queue.get(job_id)) == 0
    assert fleet.is_complete(project, FILES)


def test_a_job_that_is_cancelled_in_the_instant_it_ends_is_either_and_holds_up_nothing(fleet, until):
    project = fleet.project("alpha", 3)
    fleet.start()
    until(ended(fleet, fleet.request(project)), PATIENT)
    for number in range(10):
        job_id = fleet.edit(project, f"new{number}.py", f"def new_{number}(): ...\n")
        until(lambda job_id=job_id: fleet.queue.get(job_id).status != JobStatus.QUEUED, PATIENT)
        with contextlib.suppress(IllegalMove):
            fleet.queue.cancel(job_id)
        assert fleet.queue.get(job_id).status in {JobStatus.CANCELLED, JobStatus.COMPLETED}
    last = fleet.request(project)
    until(ended(fleet, last), PATIENT)
    assert fleet.is_complete(project, 13)
    until(let_go(fleet, project), LET_GO_SECONDS)
    assert fleet.dirty.count(project.id) == 0


@pytest.mark.parametrize("stop", ["cancel", "pause"])
def test_a_process_that_stands_still_is_killed_and_the_project_goes_on(fleet, until, stop):
    project = fleet.project("alpha", FILES)
    supervisor = fleet.start()
    job_id = fleet.request(project)
    until(lambda: fleet.in_the_middle(project), PATIENT)
    horse = fleet.horse(project)
    horse.suspend()
    getattr(fleet.queue, stop)(job_id)
    waits_for(until, lambda: not horse.is_running(), KILLED_SECONDS, f"stopped process killed after {stop}")
    until(let_go(fleet, project), LET_GO_SECONDS)
    until(lambda: fleet.shown_as_running(project) == (0, 0), 10)
    assert supervisor.is_running()
    if stop == "pause":
        fleet.queue.resume(job_id)
    following = job_id if stop == "pause" else fleet.request(project)
    until(ended(fleet, following), PATIENT)
    assert fleet.is_complete(project, FILES)


@pytest.fixture
def deaf_server():
    """The URL of an embedding server that takes every call and answers none."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/v1"


def test_a_job_that_hangs_in_a_call_is_killed_after_it_was_cancelled_and_others_go_on(fleet, until, deaf_server):
    project, other = fleet.project("alpha", 3), fleet.project("beta", 3)
    deaf = {"MUNIMENT_FILE_EMBEDDER": "url", "MUNIMENT_EMBEDDING_URL": deaf_server, "MUNIMENT_EMBEDDING_MODEL": "deaf"}
    fleet.environment |= deaf
    first = fleet.start()
    job_id = fleet.request(project)
    until(lambda: fleet.queue.get(job_id).phase == Phase.VECTORS, PATIENT)
    horse = fleet.horse(project)
    fleet.queue.cancel(job_id)
    waits_for(until, lambda: not horse.is_running(), KILLED_SECONDS, "hanging process killed")
    until(let_go(fleet, project), LET_GO_SECONDS)
    until(lambda: fleet.shown_as_running(project) == (0, 0), 10)
    first.send_signal(signal.SIGTERM)
    first.wait(timeout=10)
    for name in deaf:
        del fleet.environment[name]
    fleet.start()
    for job_id in (fleet.request(project), fleet.request(other)):
        until(ended(fleet, job_id), PATIENT)
    assert fleet.is_complete(project, 3)
    assert fleet.is_complete(other, 3)
