"""What the caller asked for does not exist."""

from collections.abc import Iterable

from muniment.errors.base import MunimentError, names


class UnknownProject(MunimentError):
    code = "unknown_project"
    http_status = 404
    message = "No project named '{name}'. Known: {known}."
    remedy = "Use a known name, or create the project with init_project (`muniment init NAME PATH`)."

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__(name=name, known=names(known))


class UnknownJob(MunimentError):
    code = "unknown_job"
    http_status = 404
    message = "No job with id '{job_id}'."
    remedy = "List the jobs with list_jobs (`GET /api/v1/jobs`); history is kept for 7 days."

    def __init__(self, job_id: str) -> None:
        super().__init__(job_id=job_id)


class UnknownMemory(MunimentError):
    code = "unknown_memory"
    http_status = 404
    message = "No memory with id '{memory_id}' in project '{project}'."
    remedy = "Search for it with search_memories; results carry the id."

    def __init__(self, memory_id: str, project: str) -> None:
        super().__init__(memory_id=memory_id, project=project)


class NotPushed(MunimentError):
    code = "not_pushed"
    http_status = 404
    message = "No file '{path}' was put into project '{project}'."
    remedy = "Check the path, upper and lower case included; search results carry it."

    def __init__(self, path: str, project: str) -> None:
        super().__init__(path=path, project=project)


class FileNotIndexed(MunimentError):
    code = "file_not_indexed"
    http_status = 404
    message = "The index of project '{project}' has no file '{path}'.{meant}"
    remedy = "Give the path as search results show it; wait_for_index takes in what was added just now."

    def __init__(self, path: str, project: str, alike: Iterable[str] = ()) -> None:
        shown = " or ".join(f"'{one}'" for one in alike)
        super().__init__(path=path, project=project, meant=f" Perhaps {shown} is meant." if shown else "")


class FileOnDisk(MunimentError):
    code = "file_on_disk"
    http_status = 404
    message = "'{path}' of project '{project}' was not put there: it is a file on the server's disk."
    remedy = "It leaves the index when it is deleted there, or excluded by watch_exclude or .munimentignore."

    def __init__(self, path: str, project: str) -> None:
        super().__init__(path=path, project=project)


class UnknownRoute(MunimentError):
    code = "unknown_route"
    http_status = 404
    message = "Nothing answers at '{path}'."
    remedy = "The routes are listed in /openapi.json; MCP clients use /mcp."

    def __init__(self, path: str) -> None:
        super().__init__(path=path)


class WrongMethod(MunimentError):
    code = "wrong_method"
    http_status = 405
    message = "'{path}' does not take {method}."
    remedy = "Use {allowed}."

    def __init__(self, path: str, method: str, allowed: str) -> None:
        super().__init__(path=path, method=method, allowed=allowed or "what /openapi.json says")


class BadRequest(MunimentError):
    code = "bad_request"
    http_status = 400
    message = "The request cannot be read: {detail}."
    remedy = "Send JSON as /openapi.json describes it."

    def __init__(self, detail: str) -> None:
        super().__init__(detail=detail)


class RequestTooLarge(MunimentError):
    code = "request_too_large"
    http_status = 413
    message = "The request's body is larger than {limit:,} bytes."
    remedy = "Send less at once."

    def __init__(self, limit: int) -> None:
        super().__init__(limit=limit)


class FileTooLarge(MunimentError):
    code = "file_too_large"
    http_status = 413
    message = "The text of '{path}' has {size:,} bytes, more than the {limit:,} that are indexed."
    remedy = "Put it in parts under several paths, or let the operator raise MUNIMENT_MAX_FILE_BYTES."

    def __init__(self, path: str, size: int, limit: int) -> None:
        super().__init__(path=path, size=size, limit=limit)


class UnknownReceiver(MunimentError):
    code = "unknown_receiver"
    http_status = 404
    message = "The project notifies no '{receiver}'. Known: {known}."
    remedy = "Name one by its id, or by its whole URL; `muniment notify PROJECT` lists them."

    def __init__(self, receiver: str, known: Iterable[str]) -> None:
        super().__init__(receiver=receiver, known=names(known))
