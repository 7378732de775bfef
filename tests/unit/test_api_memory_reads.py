"""Which memories were read is written down by the gateway, between and behind the requests."""

import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from fastapi.testclient import TestClient

from muniment_api import app
from muniment_api.deps import Services

Serve = Callable[[Services], AbstractContextManager[TestClient]]


def test_reads_are_written_down_by_the_gateway_itself(
    services: Services, serve: Serve, monkeypatch: pytest.MonkeyPatch, until: Callable[..., object]
) -> None:
    monkeypatch.setattr(app, "READS_SECONDS", 0.01)
    written: list[str] = []
    write = services.memory.write_reads

    def locked_at_first() -> None:
        written.append("")
        if len(written) < 3:
            raise sqlite3.OperationalError("database is locked")
        write()

    monkeypatch.setattr(services.memory, "write_reads", locked_at_first)
    with serve(services):
        until(lambda: len(written) > 3)


def test_a_gateway_ends_although_reads_cannot_be_written(
    services: Services, serve: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def locked() -> None:
        raise sqlite3.OperationalError("database is locked")

    monkeypatch.setattr(services.memory, "write_reads", locked)
    with serve(services):
        pass
    assert "reads of memories are not counted: database is locked" in caplog.text
    with pytest.raises(sqlite3.ProgrammingError):
        services.memory.count("alpha")
