"""Takes requests for indexing: validates, writes, rings and answers. No disk walk, so the answer comes at once."""

import os
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import BaseModel

from muniment.bus import Bus
from muniment.errors import (
    InvalidValue,
    PathNotAbsolute,
    PathNotAFolder,
    PathNotFound,
    PathOutsideProject,
    PathOutsideRoots,
    PathUnreadable,
)
from muniment.events import Event, EventType
from muniment.jobs import JobKind, JobRequest
from muniment.project import Project, check_name, indexed_path
from muniment.projects import Change, ProjectStore
from muniment.queue import JobQueue, utc_now

MAX_PATTERNS = 200


class ProjectRequest(BaseModel):
    """Fields left out stay as they are when the project exists already; ``watch_paths`` is needed for a new one: empty
    for a project whose files are only put by the API."""

    name: str
    watch_paths: list[str] | None = None
    watch_patterns: list[str] | None = None
    watch_exclude: list[str] | None = None
    watch: bool | None = None


class ProjectAnswer(BaseModel):
    project: Project
    job_id: str
    message: str
    warnings: list[str] = []


class JobAnswer(BaseModel):
    job_id: str
    project: str
    message: str


class Intake:
    """``roots``: resolved folders below which projects may lie."""

    def __init__(self, projects: ProjectStore, queue: JobQueue, bus: Bus, roots: Sequence[Path]) -> None:
        self._projects = projects
        self._queue = queue
        self._bus = bus
        self._roots = roots

    def init_project(self, request: ProjectRequest) -> ProjectAnswer:
        """Makes or updates a project and starts a reconcile."""
        check_name(request.name)
        paths = None if request.watch_paths is None else self._folders(request.watch_paths)
        patterns = _patterns("watch_patterns", request.watch_patterns)
        exclude = _patterns("watch_exclude", request.watch_exclude)
        project, change = self._projects.add_or_update(
            request.name,
            watch_paths=paths,
            watch_patterns=patterns,
            watch_exclude=exclude,
            watch=request.watch,
            now=utc_now(),
        )
        job = self._queue.request(project, JobRequest(kind=JobKind.RECONCILE))
        if change != Change.UNCHANGED:
            kind = EventType.PROJECT_CREATED if change == Change.CREATED else EventType.PROJECT_UPDATED
            self._bus.publish(
                Event(
                    type=kind,
                    at=utc_now(),
                    project=project.name,
                    project_id=project.id,
                    data={"project": project.model_dump(mode="json")},
                )
            )
        done = "updated" if change == Change.UPDATED else "initialized"
        return ProjectAnswer(
            project=project,
            job_id=job.job_id,
            message=f"Project '{project.name}' {done}. Indexing in progress — use index_status to check progress.",
            warnings=[
                f"Project '{other.name}' covers the same folder: both index it."
                for other in self._projects.sharing_paths(project)
            ],
        )

    def start(
        self, name: str, kind: JobKind, *, paths: Iterable[str] = (), recursive: bool = True, repair: bool = False
    ) -> JobAnswer:
        """Queues one job, or joins the one that waits. Paths are relative to the project or absolute below it; a
        repair takes in the whole project."""
        project = self._projects.get(name)
        wanted = [self._inside(project, path) for path in paths]
        if "" in wanted:
            wanted = []
        job = self._queue.request(project, JobRequest(kind=kind, paths=wanted, recursive=recursive, repair=repair))
        verb = "Joined the job that already waits" if job.joined else "Indexing queued"
        return JobAnswer(
            job_id=job.job_id,
            project=project.name,
            message=f"{verb} for project '{project.name}' — use get_job_status or wait_for_index to follow it.",
        )

    def _folders(self, paths: Sequence[str]) -> list[str]:
        resolved = [str(self._folder(path)) for path in paths]
        return list(dict.fromkeys(resolved))

    def _folder(self, path: str) -> Path:
        if "\0" in path:
            raise InvalidValue("watch_paths", path, "it contains a NUL character")
        try:
            given = Path(path).expanduser()
        except RuntimeError as error:  # ~ of a user that the server does not know
            raise PathNotFound(path) from error
        if not given.is_absolute():
            raise PathNotAbsolute(path)
        # resolved before it is compared: a symlink below a root may lead anywhere
        real = Path(os.path.realpath(given))
        if not any(real.is_relative_to(root) for root in self._roots):
            raise PathOutsideRoots(path, map(str, self._roots))
        try:
            mode = real.stat().st_mode
        except PermissionError as error:
            raise PathUnreadable(path) from error
        except OSError as error:  # also a name too long, or a loop of symlinks
            raise PathNotFound(path) from error
        if not stat.S_ISDIR(mode):
            raise PathNotAFolder(path)
        if not os.access(real, os.R_OK | os.X_OK):
            raise PathUnreadable(path)
        return real

    def _inside(self, project: Project, path: str) -> str:
        if "\0" in path:
            raise PathOutsideProject(path, project.name)
        if path.startswith("/"):
            found = indexed_path(Path(os.path.normpath(path)), project.watch_paths)
            found = found if found is not None else indexed_path(Path(os.path.realpath(path)), project.watch_paths)
        else:
            found = os.path.normpath(path)
            found = None if found.split("/")[0] == ".." else found
        if found is None:
            raise PathOutsideProject(path, project.name)
        return "" if found == "." else found


def _patterns(field: str, patterns: Sequence[str] | None) -> list[str] | None:
    if patterns is None:
        return None
    if len(patterns) > MAX_PATTERNS:
        raise InvalidValue(field, f"{len(patterns)} patterns", f"at most {MAX_PATTERNS} are allowed")
    return [pattern for pattern in map(str.strip, patterns) if pattern]
