"""How an attempt at a job ends when more than the job goes wrong."""

from pathlib import Path
from typing import Any

import pytest

from muniment.indexing import PassTools
from muniment.intake import ProjectRequest
from muniment.leases import Lease
from muniment.redis_client import job_key
from muniment.settings import Settings
from muniment_api.deps import Services
from muniment_worker.control import LeaseKeeper
from muniment_worker.tasks import Desk, carry_out


@pytest.fixture
def desk(services: Services, gateway_settings: Settings, tmp_path: Path) -> Desk:
    """Of a worker that may no longer read what the gateway allows: every job fails."""
    nothing: Any = None
    tools = PassTools(dirty=nothing, vectors=nothing, embedder=nothing, limits=nothing, helpers=0, now=nothing)
    narrower = gateway_settings.model_copy(update={"roots": [tmp_path / "elsewhere"]})
    return Desk(narrower, services.connections, services.leases, services.queue, tools)


def test_a_job_that_fails_after_its_record_was_lost_ends_without_a_second_error(
    services: Services, desk: Desk, gateway_settings: Settings
) -> None:
    folders = [str(gateway_settings.roots[0])]
    project = services.intake.init_project(ProjectRequest(name="alpha", watch_paths=folders)).project
    lease = services.leases.acquire(project.id, "me")
    assert isinstance(lease, Lease)
    with LeaseKeeper(services.leases, lease) as keeper:
        job = services.queue.claim_next(lease)
        assert job is not None
        services.connections.records.delete(job_key(job.id))
        assert carry_out(desk, lease, job, keeper) == "failed: path_outside_roots; its record is gone"
    assert services.connections.records.exists(job_key(job.id)) == 0


def test_the_folder_that_pushed_texts_are_put_into_later_survives_a_power_loss(
    services: Services, desk: Desk, gateway_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr("muniment.durable.sync", synced.append)
    project = services.intake.init_project(ProjectRequest(name="alpha", watch_paths=[])).project
    lease = services.leases.acquire(project.id, "me")
    assert isinstance(lease, Lease)
    with LeaseKeeper(services.leases, lease) as keeper:
        job = services.queue.claim_next(lease)
        assert job is not None
        carry_out(desk, lease, job, keeper)
    services.pushes.put(project.id, "a.md", "text")
    folder = gateway_settings.folder.project(project.id)
    assert {folder.path.parent, folder.path, folder.pushed} <= set(synced)
