"""Jobs over REST: stop them, let them go on, ask for them anew, and see what waits."""

from typing import Any

import httpx
import pytest
from fakeredis import FakeServer
from fastapi.testclient import TestClient

from muniment.backlog import LONG_BACKLOG
from muniment.errors import ErrorBody
from muniment.jobs import Job, JobStatus, Progress
from muniment.leases import Lease
from muniment.project import Project
from muniment.settings import Settings
from muniment_api.deps import Services

JOBS, QUEUES = "/api/v1/jobs", "/api/v1/queues"
NO_BODY: dict[str, Any] = {}
CONFIRMED = {"confirm": True}
MOVES = {"pause": "paused", "resume": "resumed", "cancel": "cancelled", "retry": "retried"}


@pytest.fixture
def project(api: TestClient, services: Services, gateway_settings: Settings) -> Project:
    """Alpha; its first job waits."""
    folder = gateway_settings.roots[0] / "alpha"
    folder.mkdir()
    assert api.post("/api/v1/projects", json={"name": "alpha", "watch_paths": [str(folder)]}).status_code == 202
    return services.projects.get("alpha")


@pytest.fixture
def job_id(services: Services, project: Project) -> str:
    (job,) = services.queue.waiting(project.id)
    return job.id


def leased(services: Services, project: Project) -> Lease:
    lease = services.leases.acquire(project.id, "host:1")
    assert isinstance(lease, Lease)
    return lease


def claimed(services: Services, project: Project) -> tuple[Lease, Job]:
    """The project's next job, as a worker takes it."""
    lease = leased(services, project)
    job = services.queue.claim_next(lease)
    assert job is not None
    return lease, job


def ended(services: Services, project: Project, status: JobStatus) -> str:
    lease, job = claimed(services, project)
    assert services.queue.finish(lease, job, status, Progress())
    assert services.leases.release(lease)
    return job.id


def refused(answer: httpx.Response, status: int, code: str) -> ErrorBody:
    assert answer.status_code == status, answer.text
    body = ErrorBody.model_validate(answer.json())
    assert body.code == code
    return body


def test_a_job_that_waits_is_paused_and_resumed(api: TestClient, services: Services, job_id: str) -> None:
    paused = api.post(f"{JOBS}/{job_id}/pause")
    assert (paused.status_code, paused.json()["status"]) == (200, "paused")
    assert services.queue.projects_with_work() == []
    resumed = api.post(f"{JOBS}/{job_id}/resume")
    assert (resumed.status_code, resumed.json()["status"]) == (200, "queued")
    assert services.queue.projects_with_work() == [services.queue.get(job_id).project_id]
    told = [event["type"] for event in api.get(f"{JOBS}/{job_id}/events").json()["items"]]
    assert told == ["job_queued", "index_paused", "index_resumed"]


def test_a_running_job_is_paused_and_its_pass_is_told_to_stop(
    api: TestClient, services: Services, project: Project
) -> None:
    _, job = claimed(services, project)
    assert api.post(f"{JOBS}/{job.id}/pause").json()["status"] == "paused"
    assert not services.queue.is_running(job)


@pytest.mark.parametrize("running", [False, True])
def test_a_job_is_cancelled_once_that_is_confirmed(
    api: TestClient, services: Services, project: Project, job_id: str, running: bool
) -> None:
    if running:
        claimed(services, project)
    for body in (None, NO_BODY, {"confirm": False}):
        asked = refused(api.post(f"{JOBS}/{job_id}/cancel", json=body), 409, "cancel_unconfirmed")
        assert job_id in asked.message
        assert "the reconcile of 'alpha'" in asked.message
        assert "confirm=true" in asked.remedy
    assert services.queue.get(job_id).status == (JobStatus.RUNNING if running else JobStatus.QUEUED)
    cancelled = api.post(f"{JOBS}/{job_id}/cancel", json=CONFIRMED)
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    assert cancelled.json()["finished_at"] is not None


def test_a_paused_job_can_be_cancelled(api: TestClient, job_id: str) -> None:
    api.post(f"{JOBS}/{job_id}/pause")
    assert api.post(f"{JOBS}/{job_id}/cancel", json=CONFIRMED).json()["status"] == "cancelled"


def test_a_job_that_nobody_knows_is_named(api: TestClient) -> None:
    for move in MOVES:
        body = refused(api.post(f"{JOBS}/0123456789abcdef/{move}"), 404, "unknown_job")
        assert "'0123456789abcdef'" in body.message


@pytest.mark.parametrize(
    ("status", "allowed"),
    [
        (JobStatus.QUEUED, ["pause", "cancel"]),
        (JobStatus.RUNNING, ["pause", "cancel"]),
        (JobStatus.PAUSED, ["resume", "cancel"]),
        (JobStatus.COMPLETED, []),
        (JobStatus.FAILED, ["retry"]),
        (JobStatus.CANCELLED, ["retry"]),
    ],
)
def test_a_move_that_is_not_allowed_says_what_is(
    api: TestClient, services: Services, project: Project, job_id: str, status: JobStatus, allowed: list[str]
) -> None:
    bring_to(services, project, job_id, status)
    named = ", ".join(sorted(MOVES[move] for move in allowed)) or "nothing else"
    for move in MOVES.keys() - allowed:
        body = CONFIRMED if move == "cancel" else None
        error = refused(api.post(f"{JOBS}/{job_id}/{move}", json=body), 409, "illegal_move")
        assert error.message == f"Job {job_id} is {status} and cannot be {MOVES[move]}."
        assert error.remedy == f"What a {status} job can be: {named}."
    assert services.queue.get(job_id).status == status


def bring_to(services: Services, project: Project, job_id: str, status: JobStatus) -> None:
    if status == JobStatus.RUNNING:
        claimed(services, project)
    elif status == JobStatus.PAUSED:
        services.queue.pause(job_id)
    elif status == JobStatus.CANCELLED:
        services.queue.cancel(job_id)
    elif status in (JobStatus.COMPLETED, JobStatus.FAILED):
        assert ended(services, project, status) == job_id


def test_a_blocked_job_is_paused_like_any_that_waits(api: TestClient, services: Services, project: Project) -> None:
    _, running = claimed(services, project)
    behind = api.post("/api/v1/projects/alpha/jobs", json={"kind": "reconcile"}).json()["job_id"]
    blocked = api.get(f"{JOBS}/{behind}").json()
    assert (blocked["status"], blocked["blocked_by"]) == ("blocked", running.id)
    assert "paused" in refused(api.post(f"{JOBS}/{behind}/resume"), 409, "illegal_move").remedy
    assert api.post(f"{JOBS}/{behind}/pause").json()["status"] == "paused"


@pytest.mark.parametrize("status", [JobStatus.FAILED, JobStatus.CANCELLED])
def test_a_job_that_failed_or_was_cancelled_is_asked_for_anew(
    api: TestClient, services: Services, project: Project, job_id: str, status: JobStatus
) -> None:
    services.queue.cancel(job_id)
    wanted = {"kind": "update", "paths": ["src"], "recursive": False}
    first = api.post("/api/v1/projects/alpha/jobs", json=wanted).json()["job_id"]
    bring_to(services, project, first, status)
    answer = api.post(f"{JOBS}/{first}/retry")
    assert answer.status_code == 202
    assert answer.json()["message"].startswith("Queued anew for project 'alpha'")
    again = api.get(f"{JOBS}/{answer.json()['job_id']}").json()
    assert again["id"] != first
    assert {name: again[name] for name in wanted} == wanted
    assert again["status"] == "queued"
    assert services.queue.get(first).status == status, "what ended stays as it is"


def test_a_retry_joins_the_job_that_waits(api: TestClient, services: Services, project: Project, job_id: str) -> None:
    ended(services, project, JobStatus.FAILED)
    waiting = api.post("/api/v1/projects/alpha/jobs", json={"kind": "reindex"}).json()["job_id"]
    answer = api.post(f"{JOBS}/{job_id}/retry").json()
    assert answer["job_id"] == waiting
    assert answer["message"].startswith("Joined the job that already waits for project 'alpha'")


def test_a_job_of_a_removed_project_is_not_asked_for_anew(api: TestClient, services: Services, job_id: str) -> None:
    services.remover.remove("alpha", confirm=True)
    refused(api.post(f"{JOBS}/{job_id}/retry"), 404, "unknown_project")


def test_a_confirmation_that_is_none_cancels_nothing(api: TestClient, services: Services, job_id: str) -> None:
    for body in ({"confirm": "perhaps"}, {"sure": True}, [1]):
        refused(api.post(f"{JOBS}/{job_id}/cancel", json=body), 422, "invalid_value")
    assert services.queue.get(job_id).status == JobStatus.QUEUED


def test_redis_away_is_an_error_that_can_be_tried_again(api: TestClient, redis_server: FakeServer, job_id: str) -> None:
    redis_server.connected = False
    for move in MOVES:
        assert refused(api.post(f"{JOBS}/{job_id}/{move}"), 503, "redis_unavailable").retryable
    assert refused(api.get(QUEUES), 503, "redis_unavailable").retryable


def test_without_projects_nothing_waits(api: TestClient) -> None:
    answer = api.get(QUEUES)
    assert answer.json() == {"items": [], "slots_used": 0, "slots": 3, "hint": None}


def test_the_queues_tell_what_waits_and_who_works(
    api: TestClient, services: Services, project: Project, job_id: str
) -> None:
    services.queue.pause(job_id)
    services.dirty.add(project.id, ["a.py", "b.py"])
    running = api.post("/api/v1/projects/alpha/jobs", json={"kind": "reindex"}).json()["job_id"]
    claimed(services, project)
    api.post("/api/v1/projects/alpha/jobs", json={"kind": "reconcile"})
    status = api.get(QUEUES).json()
    (item,) = status["items"]
    assert (status["slots_used"], status["slots"]) == (1, 3)
    assert (item["project"], item["project_id"]) == ("alpha", project.id)
    assert (item["depth"], item["jobs_waiting"], item["paths_waiting"]) == (3, 1, 2)
    assert (item["running_job"], item["paused_jobs"]) == (running, [job_id])
    assert item["holder"] == "host:1"
    assert item["held_since"] is not None
    assert item["oldest_wait"] >= 0
    assert (item["draining"], item["hint"]) == (False, None)


def test_a_project_drains_while_its_worker_lets_go(api: TestClient, services: Services, project: Project) -> None:
    _, job = claimed(services, project)
    api.post(f"{JOBS}/{job.id}/pause")
    (item,) = api.get(QUEUES).json()["items"]
    assert (item["draining"], item["running_job"], item["paused_jobs"]) == (True, None, [job.id])


def test_a_long_queue_asks_for_patience(api: TestClient, services: Services, project: Project) -> None:
    services.dirty.add(project.id, [f"{number}.py" for number in range(LONG_BACKLOG)])
    status = api.get(QUEUES).json()
    waiting = LONG_BACKLOG + 1  # the first job waits too
    assert f"{waiting} jobs and changes wait" in status["hint"]
    assert status["items"][0]["hint"] == status["hint"]


def test_the_queue_of_one_project_is_told_by_its_name(api: TestClient, gateway_settings: Settings) -> None:
    for name in ("alpha", "beta"):
        (gateway_settings.roots[0] / name).mkdir()
        folder = str(gateway_settings.roots[0] / name)
        api.post("/api/v1/projects", json={"name": name, "watch_paths": [folder]})
    assert len(api.get(QUEUES).json()["items"]) == 2
    assert [item["project"] for item in api.get(f"{QUEUES}?project=BETA").json()["items"]] == ["beta"]
    refused(api.get(f"{QUEUES}?project=gamma"), 404, "unknown_project")
