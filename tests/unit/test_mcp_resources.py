"""Projects and jobs as MCP resources, and the word that one of them has changed."""

import asyncio
import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import Any

import pytest
from fakeredis import FakeServer
from mcp import Client, MCPError
from mcp.client.subscriptions import ResourcesListChanged, ResourceUpdated
from mcp_types import TextResourceContents

from muniment.events import Event, EventType
from muniment.jobs import JobKind, JobStatus, Progress
from muniment.leases import Lease
from muniment.project import Project
from muniment.queue import utc_now
from muniment_api.deps import Services
from muniment_api.feed import resync
from muniment_api.gateway import build_mcp, resources
from muniment_api.gateway.announcements import PROGRESS_SECONDS, Announcements

Connect = Callable[[], AbstractAsyncContextManager[Client]]
NOW = datetime(2025, 1, 1, tzinfo=UTC)
JOB, BY_ID, BY_NAME = "muniment://jobs/j1", "muniment://projects/alpha-1", "muniment://projects/alpha"
INVALID_PARAMS, INTERNAL_ERROR = -32602, -32603


@pytest.fixture
def alpha(services: Services) -> Project:
    project, _ = services.projects.add_or_update(
        "alpha", watch_paths=[], watch_patterns=None, watch_exclude=None, watch=None, now=utc_now()
    )
    return project


def run_to_the_end(services: Services, project: Project) -> str:
    queued = services.intake.start(project.id, JobKind.RECONCILE)
    lease = services.leases.acquire(project.id, "a worker")
    assert isinstance(lease, Lease)
    job = services.queue.claim_next(lease)
    assert job is not None
    assert services.queue.finish(lease, job, JobStatus.COMPLETED, Progress())
    services.leases.release(lease)
    return queued.job_id


async def read(client: Client, uri: str) -> dict[str, Any]:
    (content,) = (await client.read_resource(uri)).contents
    assert isinstance(content, TextResourceContents)
    assert (content.uri, content.mime_type) == (uri, "application/json")
    return dict(json.loads(content.text))


async def test_the_kinds_of_resources_are_told(connect: Connect) -> None:
    async with connect() as client:
        templates = (await client.list_resource_templates()).resource_templates
    assert [template.uri_template for template in templates] == [
        "muniment://projects/{project}",
        "muniment://jobs/{job_id}",
    ]
    for template in templates:
        assert template.description
        assert template.mime_type == "application/json"


async def test_a_project_is_read_by_its_id_and_its_name(connect: Connect, alpha: Project) -> None:
    async with connect() as client:
        by_id = await read(client, f"muniment://projects/{alpha.id}")
        assert await read(client, "muniment://projects/alpha") == by_id
        answered = await client.call_tool("index_status", {"project": "alpha"})
    assert by_id == answered.structured_content


async def test_a_job_is_read_with_its_state(connect: Connect, services: Services, alpha: Project) -> None:
    job_id = services.intake.start(alpha.id, JobKind.RECONCILE).job_id
    async with connect() as client:
        job = await read(client, f"muniment://jobs/{job_id}")
        assert (job["id"], job["status"]) == (job_id, "queued")
        services.queue.pause(job_id)
        assert (await read(client, f"muniment://jobs/{job_id}"))["status"] == "paused"


@pytest.mark.usefixtures("alpha")
@pytest.mark.parametrize(
    ("uri", "code"),
    [
        ("muniment://projects/alpa", "unknown_project"),
        ("muniment://jobs/0", "unknown_job"),
        ("muniment://memories/1", "invalid_value"),
        ("muniment://projects/..", "invalid_value"),
        ("https://example.org/", "invalid_value"),
    ],
)
async def test_what_is_no_resource_is_an_error_of_ours(connect: Connect, uri: str, code: str) -> None:
    async with connect() as client:
        with pytest.raises(MCPError) as refused:
            await client.read_resource(uri)
    body = refused.value.data["muniment/error"]
    assert (body["code"], refused.value.code) == (code, INVALID_PARAMS)
    assert refused.value.message == f"{body['code']}: {body['message']} {body['remedy']}"


async def test_redis_away_is_an_error_that_can_be_tried_again(
    connect: Connect, redis_server: FakeServer, alpha: Project
) -> None:
    async with connect() as client:
        redis_server.connected = False
        for ask in (client.list_resources, lambda: client.read_resource(f"muniment://projects/{alpha.id}")):
            with pytest.raises(MCPError) as refused:
                await ask()
            assert refused.value.code == INTERNAL_ERROR
            assert refused.value.data["muniment/error"]["retryable"] is True


async def test_the_list_names_projects_and_jobs(connect: Connect, services: Services, alpha: Project) -> None:
    ended = run_to_the_end(services, alpha)
    waiting = services.intake.start(alpha.id, JobKind.REINDEX).job_id
    async with connect() as client:
        listed = (await client.list_resources()).resources
    assert [(one.uri, one.name, one.title, one.mime_type) for one in listed] == [
        (f"muniment://projects/{alpha.id}", "alpha", "Project 'alpha'", "application/json"),
        (f"muniment://jobs/{waiting}", waiting, f"Job {waiting}: reindex of 'alpha'", "application/json"),
        (f"muniment://jobs/{ended}", ended, f"Job {ended}: reconcile of 'alpha'", "application/json"),
    ]


async def test_the_list_is_bounded_but_forgets_nothing_that_has_not_ended(
    connect: Connect, services: Services, alpha: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "JOBS_LISTED", 2)
    paused = services.intake.start(alpha.id, JobKind.REINDEX).job_id
    services.queue.pause(paused)
    ended = [run_to_the_end(services, alpha) for _ in range(3)]
    async with connect() as client:
        jobs = [one.name for one in (await client.list_resources()).resources if one.uri.startswith("muniment://jobs/")]
    assert sorted(jobs) == sorted([*ended[1:], paused])


# --- announcements ----------------------------------------------------------------------------------------------


class Heard:
    """What a client that listens to everything is told; the clock stands still unless moved."""

    def __init__(self) -> None:
        self.now = 0.0
        self.announcements = Announcements(lambda: self.now)
        self._uris: list[str] = []
        self.stop = self.announcements.subscribe(lambda one: self._uris.append(getattr(one, "uri", "list")))

    def of(self, kind: EventType, **fields: Any) -> list[str]:
        """What is told of this event."""
        self._uris.clear()
        common = {"project": "alpha", "project_id": "alpha-1", "job_id": "j1"}
        self.announcements.hear(Event(type=kind, at=NOW, **{**common, **fields}))
        return self._uris.copy()


@pytest.fixture
def heard() -> Heard:
    return Heard()


def test_a_change_of_state_is_told_of_job_and_project_at_once(heard: Heard) -> None:
    for kind in (EventType.JOB_QUEUED, EventType.INDEX_STARTED, EventType.INDEX_PAUSED, EventType.INDEX_COMPLETE):
        assert heard.of(kind) == [JOB, BY_ID, BY_NAME]


def test_progress_is_told_once_a_second_for_each_resource(heard: Heard) -> None:
    assert heard.of(EventType.INDEX_PROGRESS) == [JOB, BY_ID, BY_NAME]
    heard.now += PROGRESS_SECONDS / 2
    assert heard.of(EventType.INDEX_PROGRESS) == []
    assert heard.of(EventType.INDEX_PROGRESS, project="beta", project_id="beta-1", job_id="j2") != []
    assert heard.of(EventType.INDEX_MILESTONE) == [JOB, BY_ID, BY_NAME], "no progress, but a change that is kept"
    heard.now += PROGRESS_SECONDS / 2
    assert heard.of(EventType.INDEX_PROGRESS) == []
    heard.now += PROGRESS_SECONDS / 2
    assert heard.of(EventType.INDEX_PROGRESS) == [JOB, BY_ID, BY_NAME]


def test_the_list_changes_with_the_projects(heard: Heard) -> None:
    for kind in (EventType.PROJECT_CREATED, EventType.PROJECT_REMOVED):
        assert heard.of(kind, job_id=None) == [BY_ID, BY_NAME, "list"]
    assert heard.of(EventType.PROJECT_UPDATED, job_id=None) == [BY_ID, BY_NAME]
    assert heard.of(EventType.MEMORY_STORED, job_id=None) == [BY_ID, BY_NAME], "its status counts memories"


def test_nothing_is_remembered_of_what_has_ended(heard: Heard) -> None:
    for number in range(10):
        heard.of(EventType.INDEX_PROGRESS, job_id=f"j{number}")
        heard.of(EventType.INDEX_COMPLETE, job_id=f"j{number}")
    heard.of(EventType.PROJECT_REMOVED, job_id=None)
    assert not heard.announcements._told


def test_who_listens_no_more_is_told_nothing(heard: Heard) -> None:
    heard.stop()
    heard.stop()
    assert heard.of(EventType.INDEX_STARTED) == []


async def test_a_client_is_told_of_what_it_asked_for_and_of_nothing_else(services: Services) -> None:
    async with Client(build_mcp(services), mode="auto") as client:
        capabilities = client.server_capabilities
        assert capabilities is not None
        assert capabilities.resources is not None
        assert capabilities.resources.subscribe
        async with client.listen(resources_list_changed=True, resource_subscriptions=[JOB]) as told:
            common = {"at": NOW, "project": "alpha", "project_id": "alpha-1"}
            services.feed.tell(Event(type=EventType.INDEX_STARTED, job_id="j2", **common))
            services.feed.tell(Event(type=EventType.INDEX_STARTED, job_id="j1", **common))
            assert await asyncio.wait_for(anext(told), 10) == ResourceUpdated(JOB)
            services.feed.tell(Event(type=EventType.PROJECT_CREATED, **common))
            assert await asyncio.wait_for(anext(told), 10) == ResourcesListChanged()
    await services.close()


async def test_a_stream_ends_when_events_were_missed(services: Services) -> None:
    async with Client(build_mcp(services), mode="auto") as client:
        async with client.listen(resource_subscriptions=[JOB]) as told:
            services.feed.tell(resync())
            with pytest.raises(StopAsyncIteration):
                await asyncio.wait_for(anext(told), 10)
        async with client.listen(resource_subscriptions=[JOB]) as told:
            services.feed.tell(Event(type=EventType.INDEX_STARTED, at=NOW, job_id="j1"))
            assert await asyncio.wait_for(anext(told), 10) == ResourceUpdated(JOB)
    await services.close()
