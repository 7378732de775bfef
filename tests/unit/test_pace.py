"""How long a job will take, judged by earlier ones, and how far that was off."""

import pytest
from job_fleet import make_project

from muniment.jobs import FileCounts, JobStatus, Phase, Progress
from muniment.pace import BASELINE_SECONDS, LEAST_FILES, JobPace, estimated
from muniment.redis_client import PACE, pace_key


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def scanned(total, done=0, failed=0):
    return Progress(phase=Phase.LEXICAL, files=FileCounts(total=total, done=done, failed=failed))


def complete(fleet, project_id, files, seconds):
    """A job that read so many files in so long."""
    clock = Clock()
    pace = JobPace(fleet.redis, project_id, clock)
    pace.seen(scanned(files))
    clock.now += seconds
    pace.ended()
    return pace


@pytest.mark.parametrize(
    ("files", "of_project", "of_fleet", "seconds"),
    [
        (500, None, None, BASELINE_SECONDS),
        (0, None, None, BASELINE_SECONDS),
        (500, None, 0.1, 50.0),
        (500, 0.2, 0.1, 100.0),
        (0, 0.2, 0.1, 1.0),
        (3, 0.001, None, 1.0),
    ],
)
def test_the_projects_own_history_counts_before_the_fleets_and_else_a_baseline(files, of_project, of_fleet, seconds):
    assert estimated(files, of_project, of_fleet) == pytest.approx(seconds)


def test_nothing_is_estimated_before_the_scan_has_ended(fleet):
    pace = JobPace(fleet.redis, "p")
    pace.seen(Progress(phase=Phase.SCAN, files=FileCounts(total=9000)))
    assert pace.estimate is None
    pace.seen(scanned(9000))
    assert pace.estimate == BASELINE_SECONDS


def test_an_estimate_stays_what_it_was_when_the_scan_ended(fleet):
    complete(fleet, "p", 100, 50.0)
    pace = JobPace(fleet.redis, "p")
    pace.seen(scanned(1000))
    pace.seen(scanned(1000, done=900))
    assert pace.estimate == pytest.approx(500.0)


def test_only_what_is_still_to_be_read_counts(fleet):
    complete(fleet, "p", 100, 50.0)
    pace = JobPace(fleet.redis, "p")
    pace.seen(scanned(1000, done=880, failed=20))
    assert pace.estimate == pytest.approx(50.0)


def test_another_project_is_judged_by_the_fleet_until_it_has_a_history(fleet):
    complete(fleet, "slow", 100, 100.0)
    first = complete(fleet, "fast", 100, 10.0)
    assert first.estimate == pytest.approx(100.0)
    second = complete(fleet, "fast", 100, 10.0)
    assert second.estimate == pytest.approx(10.0)
    assert complete(fleet, "slow", 100, 100.0).estimate == pytest.approx(100.0)


def test_newer_jobs_count_for_more(fleet):
    complete(fleet, "p", 100, 100.0)
    complete(fleet, "p", 100, 20.0)
    assert complete(fleet, "p", 100, 1.0).estimate == pytest.approx(60.0)


@pytest.mark.parametrize(("files", "recorded"), [(0, False), (LEAST_FILES - 1, False), (LEAST_FILES, True)])
def test_a_job_of_few_files_says_nothing_of_the_pace(fleet, files, recorded):
    complete(fleet, "p", files, 100.0)
    assert [bool(fleet.redis.exists(key)) for key in (PACE, pace_key("p"))] == [recorded] * 2


def test_a_job_that_ended_before_its_scan_says_nothing_of_the_pace(fleet):
    JobPace(fleet.redis, "p").ended()
    assert not fleet.redis.exists(PACE)


def test_the_record_tells_the_estimate_and_at_the_end_how_far_it_was_off(fleet):
    lease, job = fleet.running(make_project())
    assert fleet.queue.get(job.id).estimate_seconds is None
    fleet.queue.progress(job, scanned(10), 40.0)
    fleet.queue.progress(job, scanned(10, done=5), 99.0)
    assert fleet.queue.get(job.id).estimate_seconds == 40.0
    fleet.clock.advance(50)
    fleet.queue.finish(lease, job, JobStatus.COMPLETED, scanned(10, done=10))
    ended = fleet.queue.get(job.id)
    assert (ended.estimate_seconds, ended.estimate_error) == (40.0, 0.25)


def test_without_an_estimate_nothing_was_off(fleet):
    lease, job = fleet.running(make_project())
    fleet.queue.finish(lease, job, JobStatus.FAILED, Progress())
    assert fleet.queue.get(job.id).estimate_error is None


def test_each_attempt_has_its_own_estimate_and_a_pause_is_not_what_was_off(fleet):
    project = make_project()
    lease, job = fleet.running(project)
    fleet.queue.progress(job, scanned(1000), 400.0)
    fleet.clock.advance(300)
    fleet.queue.pause(job.id)
    fleet.clock.advance(86_400)
    fleet.queue.resume(job.id)
    again = fleet.queue.claim_next(lease)
    assert again.estimate_seconds is None
    assert again.started_at == job.started_at
    fleet.queue.progress(again, scanned(1000, done=750), 100.0)
    fleet.clock.advance(90)
    fleet.queue.finish(lease, again, JobStatus.COMPLETED, scanned(1000, done=1000))
    ended = fleet.queue.get(job.id)
    assert (ended.estimate_seconds, ended.estimate_error) == (100.0, -0.1)
