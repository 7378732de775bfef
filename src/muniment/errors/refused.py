"""What the caller asked for cannot be."""

from collections.abc import Iterable

from muniment.errors.base import MunimentError


class InvalidValue(MunimentError):
    code = "invalid_value"
    http_status = 422
    message = "{field} is {value!r}: {reason}."
    remedy = "Correct {field} and call again."

    def __init__(self, field: str, value: object, reason: str) -> None:
        super().__init__(field=field, value=value, reason=reason)


class InvalidProjectName(MunimentError):
    code = "invalid_project_name"
    http_status = 422
    message = "'{name}' is not a project name."
    remedy = "Use 1 to 63 letters, digits, '.', '_' or '-', beginning with a letter or digit."

    def __init__(self, name: str) -> None:
        super().__init__(name=name)


class PathNotFound(MunimentError):
    code = "path_not_found"
    http_status = 422
    message = "The path '{path}' does not exist on the server."
    remedy = "Give an absolute path as the server sees it; in containers that is the path inside the mount."

    def __init__(self, path: str) -> None:
        super().__init__(path=path)


class PathNotAbsolute(MunimentError):
    code = "path_not_absolute"
    http_status = 422
    message = "The path '{path}' is not absolute."
    remedy = "Give the full path, beginning with '/'; the server does not share your working folder."

    def __init__(self, path: str) -> None:
        super().__init__(path=path)


class PathNotAFolder(MunimentError):
    code = "path_not_a_folder"
    http_status = 422
    message = "The path '{path}' is not a folder."
    remedy = "Give the folder that holds the sources; narrow it down with watch_patterns."

    def __init__(self, path: str) -> None:
        super().__init__(path=path)


class PathUnreadable(MunimentError):
    code = "path_unreadable"
    http_status = 422
    message = "The folder '{path}' cannot be read by the server."
    remedy = "Give the server's user the right to read it, or choose another folder."

    def __init__(self, path: str) -> None:
        super().__init__(path=path)


class FileUnreadable(MunimentError):
    code = "file_unreadable"
    http_status = 422
    message = "The file '{path}' cannot be read: {detail}."
    remedy = "Check the path and its permissions; '-' reads standard input."

    def __init__(self, path: str, detail: str) -> None:
        super().__init__(path=path, detail=detail)


class FileUnwritable(MunimentError):
    code = "file_unwritable"
    http_status = 422
    message = "The file '{path}' cannot be written: {detail}."
    remedy = "Check the path, its permissions and the room on its disk; '-' writes to standard output."

    def __init__(self, path: str, detail: str) -> None:
        super().__init__(path=path, detail=detail)


class PathOutsideRoots(MunimentError):
    code = "path_outside_roots"
    http_status = 403
    message = "The path '{path}' lies outside the folders that may be indexed ({roots})."
    remedy = "Choose a path below one of them, or let the operator extend MUNIMENT_ROOTS."

    def __init__(self, path: str, roots: Iterable[str]) -> None:
        super().__init__(path=path, roots=", ".join(roots) or "none")


class PathOutsideProject(MunimentError):
    code = "path_outside_project"
    http_status = 422
    message = "The path '{path}' is not inside project '{project}'."
    remedy = "Give a path relative to the project's folder, or an absolute one below it."

    def __init__(self, path: str, project: str) -> None:
        super().__init__(path=path, project=project)


class IllegalMove(MunimentError):
    code = "illegal_move"
    http_status = 409
    message = "Job {job_id} is {status} and cannot be {target}."
    remedy = "What a {status} job can be: {allowed}."

    def __init__(self, job_id: str, status: str, target: str, allowed: Iterable[str]) -> None:
        named = ", ".join(sorted(allowed)) or "nothing else"
        super().__init__(job_id=job_id, status=status, target=target, allowed=named)


class CancelUnconfirmed(MunimentError):
    code = "cancel_unconfirmed"
    http_status = 409
    message = "Cancelling job {job_id} ends the {kind} of '{project}' for good, at {percent:.0f}%."
    remedy = (
        "If that is meant, call again with confirm=true; pause_job keeps it, to be resumed. Nothing indexed is lost."
    )

    def __init__(self, job_id: str, kind: str, project: str, percent: float) -> None:
        super().__init__(job_id=job_id, kind=kind, project=project, percent=percent)


class ConfirmationRequired(MunimentError):
    code = "confirmation_required"
    http_status = 409
    message = (
        "Removing project '{project}' deletes its index (files: {files:,}, chunks: {chunks:,}) and the texts that were"
        " put into it ({pushed:,}), and takes its memories ({memories:,}) out of use."
    )
    remedy = "If that is meant, call again with confirm=true; the memories are written to a file on the server."

    def __init__(self, project: str, files: int, chunks: int, pushed: int, memories: int) -> None:
        super().__init__(project=project, files=files, chunks=chunks, pushed=pushed, memories=memories)


class ReceiverRefused(MunimentError):
    """``url`` comes masked: there may be a password in it."""

    code = "receiver_refused"
    http_status = 422
    message = "Nobody can be notified at '{url}' ({field}): {reason}."
    remedy = "Give https://host/path, or a service that Apprise knows, as ntfy://topic (docs/notifications.md)."

    def __init__(self, field: str, url: str, reason: str) -> None:
        super().__init__(field=field, url=url, reason=reason.rstrip("."))


class MemorySuperseded(MunimentError):
    code = "memory_superseded"
    http_status = 409
    message = "Memory {memory_id} was superseded by {superseded_by} already."
    remedy = "Supersede {superseded_by} instead, or update it with update_memory."

    def __init__(self, memory_id: str, superseded_by: str) -> None:
        super().__init__(memory_id=memory_id, superseded_by=superseded_by)
