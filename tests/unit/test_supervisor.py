"""The supervisor's look at everything: no trouble of one part ends it."""

import logging
from contextlib import closing
from typing import cast

import pytest

from muniment.indexing import PassTools
from muniment.intake import ProjectRequest
from muniment.leases import Lease
from muniment.sqlite import connect, immediate
from muniment_api.deps import Services
from muniment_worker.supervisor import MOST_LINGERING, Supervisor
from muniment_worker.tasks import Desk


@pytest.fixture
def desk(services: Services) -> Desk:
    tools = cast(PassTools, None)  # no pass is made here
    return Desk(services.settings, services.connections, services.leases, services.queue, tools)


def test_a_database_that_does_not_answer_delays_what_needs_it_and_ends_nothing(
    services: Services, desk: Desk, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.WARNING, "muniment_worker.supervisor")
    monkeypatch.setattr("muniment.sqlite.BUSY_SECONDS", 0.05)
    forked: list[Lease] = []
    monkeypatch.setattr(Supervisor, "_fork", lambda _self, lease: forked.append(lease))
    project = services.intake.init_project(ProjectRequest(name="alpha", watch_paths=[])).project
    supervisor = Supervisor(services.settings)
    with closing(connect(services.settings.folder.server_db)) as other, immediate(other):
        supervisor.tick(desk)
    assert "database is locked" in caplog.text
    assert not services.queue.epoch_known(), "what was lost is made good once it answers"
    assert [lease.project_id for lease in forked] == [project.id], "the passes go on"
    supervisor.tick(desk)
    assert services.queue.epoch_known()


def test_of_many_workers_that_linger_the_oldest_without_a_lease_are_sent_away(
    services: Services, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int] = []
    monkeypatch.setattr("os.kill", lambda pid, _signal: told.append(pid))
    monkeypatch.setattr(Supervisor, "_reap", lambda _self, _desk: None)
    supervisor = Supervisor(services.settings)
    most = services.settings.max_running + MOST_LINGERING
    supervisor._workers = {1000 + number: Lease(f"p{number}-abc234", f"w{number}", "t") for number in range(most)}
    supervisor.tick(desk)
    assert told == []
    assert isinstance(desk.leases.acquire("p0-abc234", "w0"), Lease)
    supervisor._workers |= {3000: Lease("last-abc234", "last", "t"), 3001: Lease("very-last-abc234", "l", "t")}
    supervisor.tick(desk)
    assert told == [1001], "the first one works, the last ones are young"
