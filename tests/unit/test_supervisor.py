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
from muniment_worker.supervisor import Supervisor
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
