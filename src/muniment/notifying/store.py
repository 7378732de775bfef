"""Whom a project's notifications go to besides the server's receivers, in ``server.sqlite``."""

import secrets
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel

from muniment.errors import InvalidValue, UnknownReceiver
from muniment.notices import NoticeKind, masked
from muniment.sqlite import connect, immediate

# the row goes with its project: every connection of ours enforces foreign keys
SCHEMA = """
CREATE TABLE IF NOT EXISTS notifications (
    project_id TEXT PRIMARY KEY REFERENCES projects (id) ON DELETE CASCADE,
    record TEXT NOT NULL  -- the Choice as JSON
)
"""
MOST_RECEIVERS = 20
ID_BYTES = 3


class ChosenReceiver(BaseModel):
    """``id`` names it to people: the URL is secret."""

    id: str
    url: str


class Choice(BaseModel):
    """``on`` None: the kinds of the server's setting."""

    receivers: list[ChosenReceiver] = []
    on: list[NoticeKind] | None = None

    @property
    def urls(self) -> list[str]:
        return [receiver.url for receiver in self.receivers]


class NotificationStore:
    """Safe to share among threads, and to open in several processes at once. The projects are another's."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._connection = connect(path)
        with immediate(self._connection):
            self._connection.execute(SCHEMA)

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def get(self, project_id: str) -> Choice:
        with self._lock:
            return self._read(project_id)

    def put(self, project_id: str, urls: Sequence[str], on: list[NoticeKind] | None) -> Choice | None:
        """Replaces everything; URLs that stay keep their id. None: there is no such project. Raises InvalidValue."""
        with self._lock, immediate(self._connection):
            return self._write(project_id, _merged(self._read(project_id), urls), on)

    def change(
        self,
        project_id: str,
        *,
        add: Sequence[str] = (),
        remove: Sequence[str] = (),
        on: list[NoticeKind] | None,
        sets_on: bool,
    ) -> Choice | None:
        """``remove`` names receivers by id or whole URL. ``sets_on``: that ``on`` is meant, None included.

        None: there is no such project. Raises UnknownReceiver and InvalidValue; then nothing has changed.
        """
        with self._lock, immediate(self._connection):
            known = self._read(project_id)
            names = {name for one in known.receivers for name in (one.id, one.url)}
            for name in remove:
                if name not in names:
                    raise UnknownReceiver(masked(name) if "://" in name else name, [one.id for one in known.receivers])
            stay = [one.url for one in known.receivers if not {one.id, one.url} & set(remove)]
            return self._write(project_id, _merged(known, [*stay, *add]), on if sets_on else known.on)

    def _read(self, project_id: str) -> Choice:
        row = self._connection.execute(
            "SELECT record FROM notifications WHERE project_id = ?", (project_id,)
        ).fetchone()
        return Choice() if row is None else Choice.model_validate_json(row["record"])

    def _write(self, project_id: str, receivers: list[ChosenReceiver], on: list[NoticeKind] | None) -> Choice | None:
        if len(receivers) > MOST_RECEIVERS:
            raise InvalidValue("urls", f"{len(receivers)} URLs", f"a project has at most {MOST_RECEIVERS}")
        choice = Choice(receivers=receivers, on=on)
        try:
            self._connection.execute(
                "INSERT INTO notifications (project_id, record) VALUES (?, ?)"
                " ON CONFLICT (project_id) DO UPDATE SET record = excluded.record",
                (project_id, choice.model_dump_json()),
            )
        except sqlite3.IntegrityError:
            return None
        return choice


def _merged(known: Choice, urls: Sequence[str]) -> list[ChosenReceiver]:
    ids = {one.url: one.id for one in known.receivers}
    return [ChosenReceiver(id=ids.get(url) or secrets.token_hex(ID_BYTES), url=url) for url in dict.fromkeys(urls)]
