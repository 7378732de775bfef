"""Removes a project for good.

One transaction takes it from the projects of record: from then on its name is free, and nobody can ask for it. What it
leaves behind is swept in steps that are harmless to repeat, by the gateway at once and by every supervisor until
nothing is left: a crash, a Redis or a Chroma that is away, or a pass that has not let go yet only delays it.
"""

import json
import logging
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from pydantic import BaseModel

from muniment.bus import Bus
from muniment.datafolder import DataFolder, ProjectFolder
from muniment.errors import ConfirmationRequired, MunimentError, WriterBusy
from muniment.events import Event, EventType
from muniment.flocks import writer_lock
from muniment.memory.leaving import export_removed
from muniment.project import Project
from muniment.projects import ProjectStore
from muniment.pushed import PushedFiles
from muniment.queue import JobQueue, utc_now
from muniment.redis_client import REDIS_ERRORS
from muniment.sqlite import connect
from muniment.status import StatusReader
from muniment.vectors import VectorStore

log = logging.getLogger(__name__)
WRITER_SECONDS: Final = 3.0  # a running pass looks whether it goes on twice a second
POLL_SECONDS: Final = 0.05
DELAYS = (MunimentError, OSError, sqlite3.Error, *REDIS_ERRORS)  # whatever it was, the next sweep tries again


class Step(StrEnum):
    """Named places between two effects, where a test can stop a sweep."""

    MEMORIES_OUT = "memories_out"
    JOBS_CANCELLED = "jobs_cancelled"
    VECTORS_DROPPED = "vectors_dropped"
    FOLDER_RENAMED = "folder_renamed"
    FOLDER_DELETED = "folder_deleted"
    KEYS_DELETED = "keys_deleted"


class ProjectRemoved(BaseModel):
    """``memories_file``: where on the server the project's memories are now; None when it had none, or when they could
    not be taken out yet. ``swept``: its index is gone from the disk and the vector store."""

    project: str
    project_id: str
    memories: int = 0
    memories_file: str | None = None
    swept: bool
    message: str


@dataclass(frozen=True)
class Stores:
    """Where something of a project may be left behind."""

    folder: DataFolder
    projects: ProjectStore
    queue: JobQueue
    vectors: VectorStore


class ProjectRemover:
    """The gateway's side: asks back, removes, tells, and sweeps at once if it can. Safe for threads."""

    def __init__(self, stores: Stores, status: StatusReader, bus: Bus, forget: Callable[[str], None]) -> None:
        """``forget`` closes what this process has open of a project's index, by its id."""
        self._stores = stores
        self._status = status
        self._bus = bus
        self._forget = forget

    def remove(self, name: str, *, confirm: bool) -> ProjectRemoved:
        """Raises UnknownProject, and ConfirmationRequired, which says what would go."""
        project = self._stores.projects.get(name)
        if not confirm:
            raise self._question(project)
        self._stores.projects.remove(project.id, utc_now())
        self._tell(project)
        self._forget(project.id)
        swept = self._sweep(project)
        file = self._stores.folder.removed_memories(project.id)
        memories = len(file.read_bytes().splitlines()) if file.exists() else 0
        parts = [f"Project '{project.name}' is removed; its name is free."]
        if memories:
            parts.append(f"Its {memories:,} memories are in {file} on the server.")
        if not swept:
            parts.append("The rest of its index is deleted in the background.")
        return ProjectRemoved(
            project=project.name,
            project_id=project.id,
            memories=memories,
            memories_file=str(file) if memories else None,
            swept=swept,
            message=" ".join(parts),
        )

    def _question(self, project: Project) -> ConfirmationRequired:
        status = self._status.project_status(project)
        pushed = PushedFiles(self._stores.folder.project(project.id).pushed).count()
        coverage = status.coverage
        return ConfirmationRequired(project.name, coverage.files_lexical, coverage.chunks, pushed, status.memories)

    def _tell(self, project: Project) -> None:
        event = Event(type=EventType.PROJECT_REMOVED, at=utc_now(), project=project.name, project_id=project.id)
        try:
            self._bus.publish(event)
        except REDIS_ERRORS as away:
            log.warning("nobody was told that project %s was removed: %s", project.name, away)

    def _sweep(self, project: Project) -> bool:
        deadline = time.monotonic() + WRITER_SECONDS
        while True:
            try:
                sweep(self._stores, project.id)
            except WriterBusy:
                if time.monotonic() > deadline:
                    return False
                time.sleep(POLL_SECONDS)
            except DELAYS as error:
                log.warning("removed project %s is not swept yet: %s", project.id, error)
                return False
            else:
                return True


def sweep_removed(stores: Stores) -> list[str]:
    """Sweeps every removed project; returns the ids of those that nothing is left of."""
    swept = []
    for project_id in stores.projects.removed():
        try:
            if sweep(stores, project_id):
                swept.append(project_id)
        except DELAYS as error:
            log.warning("removed project %s is not swept yet: %s", project_id, error)
    return swept


def sweep(stores: Stores, project_id: str, reached: Callable[[Step], None] = lambda _: None) -> bool:
    """Deletes what a removed project left behind; its memories go into a file first.

    False when a worker still lingers on its queue, which may leave something again: to be repeated. Raises what stands
    in the way: WriterBusy, ChromaUnavailable, an error of Redis, OSError, sqlite3.Error.
    """
    folder = stores.folder.project(project_id)
    export_removed(stores.folder.memories_db, project_id, stores.folder.removed_memories(project_id))
    reached(Step.MEMORIES_OUT)
    stores.queue.cancel_all(project_id)
    reached(Step.JOBS_CANCELLED)
    trash = stores.folder.trash(project_id)
    with _writer_kept_out(folder, project_id) as found:
        if found:
            # before the folder: it alone knows their names
            for collection in _collections(folder):
                stores.vectors.drop(collection)
            reached(Step.VECTORS_DROPPED)
            # renamed first: a half-deleted folder must never be opened as an index
            _delete(trash)
            folder.path.rename(trash)
    reached(Step.FOLDER_RENAMED)
    _delete(trash)
    reached(Step.FOLDER_DELETED)
    if not stores.queue.forget(project_id):
        return False
    reached(Step.KEYS_DELETED)
    stores.projects.swept(project_id)
    return True


@contextmanager
def _writer_kept_out(folder: ProjectFolder, project_id: str) -> Iterator[bool]:
    """Holds the lock of the project's writer; False when there is no folder. Raises WriterBusy."""
    with ExitStack() as stack:
        try:
            stack.enter_context(writer_lock(folder, project_id))
        except FileNotFoundError:
            yield False
            return
        yield True


def _collections(folder: ProjectFolder) -> list[str]:
    """The names of the project's collections, as its manifest has noted them."""
    try:
        with closing(connect(folder.manifest, create=False)) as manifest:
            rows = manifest.execute("SELECT key, value FROM meta WHERE key IN ('collection', 'collections')").fetchall()
    except FileNotFoundError:
        return []
    except sqlite3.DatabaseError as error:
        # no such table, or damaged: it will not become better by waiting
        if isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode != sqlite3.SQLITE_ERROR:
            raise
        log.warning("which collections %s had is not known: %s", folder.path.name, error)
        return []
    noted = {row["key"]: row["value"] for row in rows}
    names = [*json.loads(noted.get("collections") or "[]"), noted.get("collection")]
    return list(dict.fromkeys(name for name in names if name))


def _delete(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
