"""The projects of record, in ``server.sqlite``: what exists, where its sources lie, what of them is indexed."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from muniment.errors import InvalidValue, UnknownProject
from muniment.project import Project, check_name, new_project_id
from muniment.sqlite import connect, immediate

SCHEMA = (
    """
    CREATE TABLE IF NOT EXISTS projects (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL UNIQUE COLLATE NOCASE,
        record TEXT NOT NULL  -- the Project as JSON
    )
    """,
    # what was removed and may have left something behind
    "CREATE TABLE IF NOT EXISTS removed (id TEXT PRIMARY KEY, name TEXT NOT NULL, at TEXT NOT NULL)",
)
NO_FOLDER = "a new project needs its folders, or an explicit empty list if its files will only be put by put_file"
HAS_FOLDERS = "the project has folders and would lose them all; leave the field out to keep them"


class Change(StrEnum):
    """What ``add_or_update`` did."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"


class ProjectStore:
    """Every project of this server. Safe to share among threads, and to open in several processes at once.

    Wherever a project is looked up its name works in any case, and so does its id.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._all: list[Project] = []
        self._version: tuple[int, int] | None = None  # changes of other connections and of this one
        self._connection = connect(path)
        with immediate(self._connection):
            for statement in SCHEMA:
                self._connection.execute(statement)

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def add_or_update(
        self,
        name: str,
        *,
        watch_paths: list[str] | None,
        watch_patterns: list[str] | None,
        watch_exclude: list[str] | None,
        watch: bool | None,
        now: datetime,
    ) -> tuple[Project, Change]:
        """Creates the project, or replaces the given fields of the one that has this name; None leaves a field.

        ``watch_paths`` are absolute, resolved folders; whether they exist and may be indexed is for the caller to
        check. An empty list makes a project of pushed files alone. Raises InvalidProjectName, and InvalidValue when a
        new project is given no list at all, or one that has folders would lose them all.
        """
        fields = {
            "watch_paths": None if watch_paths is None else list(dict.fromkeys(watch_paths)),
            "watch_patterns": watch_patterns,
            "watch_exclude": watch_exclude,
            "watch": watch,
        }
        given = {field: value for field, value in fields.items() if value is not None}
        check_name(name)
        with self._lock:
            # most calls change nothing: they must not wait for a worker that holds the write lock over an fsync
            known = self._find(name)
            if known is not None and watch_paths != [] and known.model_copy(update=given) == known:
                return known, Change.UNCHANGED
        with self._lock, immediate(self._connection):
            known = self._find(name)
            if known is None and watch_paths is None:
                raise InvalidValue("watch_paths", watch_paths, NO_FOLDER)
            if known is not None and known.watch_paths and watch_paths == []:
                raise InvalidValue("watch_paths", watch_paths, HAS_FOLDERS)
            if known is None:
                made = {"id": new_project_id(name), "name": name, "created_at": now, "updated_at": now}
                return self._write(Project.model_validate(given | made)), Change.CREATED
            changed = known.model_copy(update=given)
            if changed == known:
                return known, Change.UNCHANGED
            return self._write(changed.model_copy(update={"updated_at": now})), Change.UPDATED

    def get(self, name_or_id: str) -> Project:
        """Raises UnknownProject, which lists the known names."""
        project = self.find(name_or_id)
        if project is None:
            raise self._unknown(name_or_id)
        return project

    def find(self, name_or_id: str) -> Project | None:
        with self._lock:
            return self._find(name_or_id)

    def all(self) -> list[Project]:
        """Ordered by name. They are read again only after a change, whoever made it."""
        with self._lock:
            # the version first: a change in between is then read once more, never missed
            others = self._connection.execute("PRAGMA data_version").fetchone()[0]
            version = (others, self._connection.total_changes)
            if version != self._version:
                rows = self._connection.execute("SELECT record FROM projects ORDER BY name").fetchall()
                self._all, self._version = [_project(row) for row in rows], version
            return list(self._all)

    def sharing_paths(self, project: Project) -> list[Project]:
        """The other projects with a folder that is, holds, or lies in one of this project's folders."""
        return [other for other in self.all() if other.id != project.id and _overlap(project, other)]

    @contextmanager
    def kept(self, project_id: str) -> Iterator[Project]:
        """Inside, the project cannot be removed: what is made for it there is found by whoever sweeps after it.

        Keep it short, it holds the database's write lock. Raises UnknownProject.
        """
        with self._lock, immediate(self._connection):
            known = self._find(project_id)
            if known is not None:
                yield known
        if known is None:
            raise self._unknown(project_id)

    def remove(self, project_id: str, now: datetime) -> None:
        """Forgets the project, whose name is free from here on, and notes that there is something to sweep.

        Raises UnknownProject.
        """
        with self._lock, immediate(self._connection):
            found = self._connection.execute(
                "DELETE FROM projects WHERE id = ? RETURNING name", (project_id,)
            ).fetchone()
            if found is not None:
                row = (project_id, found["name"], now.isoformat())
                self._connection.execute("INSERT INTO removed (id, name, at) VALUES (?, ?, ?)", row)
        if found is None:
            raise self._unknown(project_id)

    def removed(self) -> list[str]:
        """The ids of removed projects that nobody has swept to the end, oldest first."""
        with self._lock:
            return [row["id"] for row in self._connection.execute("SELECT id FROM removed ORDER BY at, id")]

    def swept(self, project_id: str) -> None:
        """Nothing is left of the removed project."""
        with self._lock, immediate(self._connection):
            self._connection.execute("DELETE FROM removed WHERE id = ?", (project_id,))

    def _find(self, name_or_id: str) -> Project | None:
        # an id answers in any case too: so no project can be made whose name reads like the id of another
        query = "SELECT record FROM projects WHERE id = lower(?1) OR name = ?1"
        row = self._connection.execute(query, (name_or_id,)).fetchone()
        return None if row is None else _project(row)

    def _write(self, project: Project) -> Project:
        self._connection.execute(
            "INSERT INTO projects (id, name, record) VALUES (?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET record = excluded.record",
            (project.id, project.name, project.model_dump_json()),
        )
        return project

    def _unknown(self, name: str) -> UnknownProject:
        return UnknownProject(name, [project.name for project in self.all()])


def _project(row: sqlite3.Row) -> Project:
    return Project.model_validate_json(row["record"])


def _overlap(one: Project, other: Project) -> bool:
    # as texts: every request asks this of every project, and Path takes twenty times as long
    return any(
        _is_below(mine, theirs) or _is_below(theirs, mine) for mine in one.watch_paths for theirs in other.watch_paths
    )


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
