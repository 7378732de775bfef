"""Takes files that are not on the server's disk: stores or forgets their text, then has the index follow."""

import time
from collections.abc import Callable

from muniment.datafolder import DataFolder
from muniment.dirty import DirtyPaths
from muniment.errors import FileOnDisk, FileTooLarge, InvalidValue, NotPushed, PushNotQueued
from muniment.jobs import JobKind, JobRequest
from muniment.manifest import ManifestReader
from muniment.masking import mask
from muniment.project import Project, absolute_path
from muniment.projects import ProjectStore
from muniment.pushed import PushAnswer, PushedFiles, check_path
from muniment.queue import JobQueue
from muniment.redis_client import REDIS_ERRORS


class PushIntake:
    """Safe for threads."""

    def __init__(
        self,
        projects: ProjectStore,
        queue: JobQueue,
        dirty: DirtyPaths,
        folder: DataFolder,
        max_file_bytes: int,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._projects = projects
        self._queue = queue
        self._dirty = dirty
        self._folder = folder
        self._max_file_bytes = max_file_bytes
        self._clock_ns = clock_ns

    def put(self, name: str, path: str, content: str) -> PushAnswer:
        """Stores a file's text, its secrets masked, in place of the one that this path had; on the disk when it
        answers. Raises UnknownProject, InvalidValue, FileTooLarge, DiskFull, PushNotQueued.
        """
        project = self._projects.get(name)
        check_path(path)
        self._check_text(path, content)
        masked = mask(path, content)
        secrets = sum(masked.found.values())
        self._store(project, path, masked.text, secrets)
        job_id = self._follow(project, path, "stored")
        hidden = f" {secrets} secret{'s' if secrets != 1 else ''} in it masked." if secrets else ""
        return _pushed(project, path, job_id, "Stored", hidden)

    def remove(self, name: str, path: str) -> PushAnswer:
        """Forgets the text of a path; a file of that path on the disk is indexed again.

        Raises UnknownProject, InvalidValue, NotPushed, FileOnDisk, PushNotQueued.
        """
        project = self._projects.get(name)
        check_path(path)
        if not self._files(project).remove(path) and not self._still_indexed(project, path):
            raise (FileOnDisk if _is_on_disk(path, project) else NotPushed)(path, project.name)
        return _pushed(project, path, self._follow(project, path, "removed"), "Removed")

    def _files(self, project: Project) -> PushedFiles:
        return PushedFiles(self._folder.project(project.id).pushed)

    def _store(self, project: Project, path: str, text: str, secrets: int) -> None:
        files = self._files(project)
        if not self._folder.project(project.id).pushed.is_dir():
            with self._projects.kept(project.id):  # nothing may bring back the folder of a removed project
                files.make()
        try:
            files.put(path, text, self._clock_ns(), secrets)
        except FileNotFoundError:
            self._projects.get(project.id)  # removed just now: raises UnknownProject
            raise

    def _still_indexed(self, project: Project, path: str) -> bool:
        """Whether the index still has the pushed file: a removal that could not be told is told by its repetition."""
        manifest = ManifestReader.open(self._folder.project(project.id).manifest)
        if manifest is None:
            return False
        try:
            known = manifest.files([path]).get(path)
        finally:
            manifest.close()
        return known is not None and known.pushed

    def _follow(self, project: Project, path: str, done: str) -> str:
        try:
            self._dirty.add(project.id, [path])
            return self._queue.request(project, JobRequest(kind=JobKind.UPDATE)).job_id
        except REDIS_ERRORS as away:
            raise PushNotQueued(path, done) from away

    def _check_text(self, path: str, content: str) -> None:
        try:
            size = len(content.encode())
        except UnicodeEncodeError as error:
            raise InvalidValue("content", "...", "it holds half of a surrogate pair, which is no text") from error
        if "\0" in content:
            raise InvalidValue("content", "...", "it contains a NUL character, so it is no text")
        if size > self._max_file_bytes:
            raise FileTooLarge(path, size, self._max_file_bytes)


def _is_on_disk(path: str, project: Project) -> bool:
    """Whether the project's folders hold a file there; nothing is told of what links lead to."""
    file = absolute_path(path, project.watch_paths)
    try:
        return file is not None and file.is_file() and file.resolve() == file
    except OSError:  # a name too long, or a folder that may not be entered
        return False


def _pushed(project: Project, path: str, job_id: str, done: str, hidden: str = "") -> PushAnswer:
    message = (
        f"{done}: '{path}' of project '{project.name}'.{hidden} Its indexing is queued — wait_for_index follows it."
    )
    return PushAnswer(job_id=job_id, project=project.name, path=path, message=message)
