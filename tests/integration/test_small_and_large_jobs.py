"""Jobs of very different size on real processes: one large tree from its request to its end, many small ones, and who
has to wait."""

import itertools
import time

import psutil
import pytest
from fleet import PATIENT, Fleet, ended

from muniment.events import EventType
from muniment.intake import Intake, ProjectRequest
from muniment.job_records import NO_SLOT
from muniment.jobs import JobStatus, Phase

pytestmark = pytest.mark.endurance
LARGE = 4_000
TEXTS = 150  # distinct ones: a text is embedded once, so the large tree is a matter of seconds
BATCH = 35  # files in a checkpoint: less than a hundredth of the large tree
ANSWERED_SECONDS = 1.0
RUNNING_SECONDS = 10.0  # 1 by promise, on a machine that does nothing else


@pytest.fixture
def fleet(tmp_path, valkey_url, chroma_url):
    fleet = Fleet(tmp_path, valkey_url, chroma_url)
    fleet.environment["MUNIMENT_BATCH_FILES"] = str(BATCH)
    yield fleet
    fleet.stop()


def plant(folder, files):
    """A tree of small files, a hundred to a folder, with few distinct texts."""
    for number in range(files):
        if number % 100 == 0:
            part = folder / f"part{number // 100}"
            part.mkdir(parents=True)
        kind = number % TEXTS
        (part / f"file{number}.py").write_text(f"def handler_{kind}():\n    return {kind}\n")
    return folder


class Seen:
    """A job as it is shown again and again; each look holds it to what it said before."""

    def __init__(self, fleet, job_id):
        self.fleet, self.job_id = fleet, job_id
        self.reports = []

    def look(self):
        job = self.fleet.queue.get(self.job_id)
        if job.status == JobStatus.RUNNING:
            self.reports.append(job)
        return job

    def of_attempt(self, number):
        return [report for report in self.reports if report.attempt == number]


def never_falls(values):
    return all(before <= after for before, after in itertools.pairwise(values))


def test_a_large_tree_is_taken_at_once_followed_killed_and_completed_without_doing_much_again(fleet, until):
    tree = plant(fleet.tmp_path / "large", LARGE)
    fleet.start()
    until(ended(fleet, fleet.request(fleet.project("first", 1))), PATIENT)  # the worker is there
    intake = Intake(fleet.projects, fleet.queue, fleet.bus, [fleet.tmp_path])
    began = time.monotonic()
    made = intake.init_project(ProjectRequest(name="large", watch_paths=[str(tree)], watch=False))
    assert time.monotonic() - began < ANSWERED_SECONDS, "whoever asks does not wait for a walk over the tree"
    project, seen = made.project, Seen(fleet, made.job_id)
    until(lambda: seen.look().status == JobStatus.RUNNING, RUNNING_SECONDS)
    print(f"running after {time.monotonic() - began:.2f} s")
    until(lambda: seen.look() and fleet.in_the_middle(project), PATIENT)
    horse = fleet.horse(project)
    horse.kill()
    psutil.wait_procs([horse], timeout=5)
    before = fleet.counters(project)
    assert before.files_lexical < LARGE
    until(lambda: seen.look().status == JobStatus.COMPLETED, PATIENT)

    job = fleet.queue.get(made.job_id)
    assert fleet.is_complete(project, LARGE)
    assert (job.attempt, job.files.total, job.files.done, job.files.failed) == (2, LARGE, LARGE, 0)
    assert job.chunks <= LARGE - before.files_lexical + BATCH, "less than a hundredth of it was done again"
    told = [event.type for event in fleet.bus.job_events(job.id)]
    assert told.count(EventType.INDEX_COMPLETE) == 1
    for attempt in (1, 2):
        reports = seen.of_attempt(attempt)
        assert never_falls([report.files.done for report in reports])
        assert never_falls([report.percent for report in reports])
        assert never_falls([list(Phase).index(report.phase) for report in reports])
        assert all(report.percent < 100 for report in reports), "who still runs is not complete"
        scans = [report for report in reports if report.phase == Phase.SCAN]
        assert all(report.estimate_seconds is None for report in scans), "nobody knows how much it is yet"
    assert {report.phase for report in seen.reports} >= {Phase.LEXICAL, Phase.VECTORS}
    assert seen.of_attempt(2)[-1].estimate_seconds is not None
    assert seen.of_attempt(2)[-1].last_file is not None


def at_work(fleet, project):
    """Its process, while it indexes: before that it may hold locks that others need."""
    return lambda: fleet.in_the_middle(project) and fleet.horse(project)


def test_three_run_at_once_and_a_fourth_waits_until_one_of_them_makes_way(fleet, until):
    large = [fleet.project(name, 600) for name in ("alpha", "beta", "gamma")]
    small = fleet.project("small", 3)
    fleet.environment["MUNIMENT_BATCH_FILES"] = "5"
    fleet.environment["MUNIMENT_LEASE_SECONDS"] = "120"
    fleet.start()
    jobs = [fleet.request(project) for project in large]
    horses = [until(at_work(fleet, project), PATIENT) for project in large]
    for horse in horses:
        horse.suspend()  # so that none of them ends meanwhile
    fourth = fleet.request(small)
    assert [fleet.queue.get(job_id).status for job_id in jobs] == [JobStatus.RUNNING] * 3
    waits = fleet.queue.get(fourth)
    assert (waits.status, waits.blocked_by) == (JobStatus.BLOCKED, NO_SLOT)
    assert [job.id for job in fleet.queue.list(statuses=frozenset({JobStatus.BLOCKED})).items] == [fourth]
    assert fleet.leases.slots_used() == 3

    fleet.queue.cancel(jobs[1])
    horses[1].resume()
    until(ended(fleet, fourth), PATIENT)
    assert fleet.is_complete(small, 3)
    assert [fleet.queue.get(jobs[place]).status for place in (0, 2)] == [JobStatus.RUNNING] * 2
    for place in (0, 2):
        horses[place].resume()
        fleet.queue.cancel(jobs[place])
    until(lambda: fleet.leases.slots_used() == 0, PATIENT)


def test_many_small_projects_asked_for_at_once_are_all_indexed_once(fleet, until):
    projects = [fleet.project(f"tiny{number}", 1) for number in range(8)]
    fleet.start()
    jobs = [fleet.request(project) for project in projects]
    until(lambda: all(ended(fleet, job_id)() for job_id in jobs), PATIENT)
    assert [fleet.queue.get(job_id).attempt for job_id in jobs] == [1] * 8
    for project in projects:
        assert fleet.is_complete(project, 1)
        assert fleet.found(project, f"{project.name}_0") == ["file0.py"]
    assert fleet.queue.projects_with_work() == []
