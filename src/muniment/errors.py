"""The tree of errors. Each message names the value that was wrong, each remedy says what to do next.

REST, MCP, the command line, job records and logs all show the same ``code``, ``message`` and ``remedy``.
Messages and remedies are templates on the class, so that a test can walk the whole tree.
"""

from collections.abc import Iterable
from typing import ClassVar

from pydantic import BaseModel


class ErrorBody(BaseModel):
    """The one shape in which an error leaves the product."""

    code: str
    message: str
    remedy: str
    retryable: bool = False


class MunimentError(Exception):
    """Base of every error that a user may see."""

    code: ClassVar[str] = "internal"
    http_status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False
    message: ClassVar[str] = "Something failed inside Muniment: {detail}."
    remedy: ClassVar[str] = "See the server's log for this moment; if it repeats, report it with that log."

    def __init__(self, **values: object) -> None:
        self.values = values
        self.text = self.message.format(**values)
        self.remedy_text = self.remedy.format(**values)
        super().__init__(f"{self.text} {self.remedy_text}")

    def body(self) -> ErrorBody:
        return ErrorBody(code=self.code, message=self.text, remedy=self.remedy_text, retryable=self.retryable)


class InternalError(MunimentError):
    """A fault of ours: nothing the caller did."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail=detail)


def _names(values: Iterable[str]) -> str:
    return ", ".join(sorted(values)) or "none yet"


# --- what the caller asked for does not exist -------------------------------------------------------------------


class UnknownProject(MunimentError):
    code = "unknown_project"
    http_status = 404
    message = "No project named '{name}'. Known: {known}."
    remedy = "Use a known name, or create the project with init_project (`muniment init NAME PATH`)."

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__(name=name, known=_names(known))


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


# --- what the caller asked for cannot be ------------------------------------------------------------------------


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
    message = "Job {job_id} is {status} and cannot become {target}."
    remedy = "From {status} a job can become: {allowed}."

    def __init__(self, job_id: str, status: str, target: str, allowed: Iterable[str]) -> None:
        super().__init__(job_id=job_id, status=status, target=target, allowed=", ".join(sorted(allowed)) or "nothing")


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


# --- access -----------------------------------------------------------------------------------------------------


class Unauthorized(MunimentError):
    code = "unauthorized"
    http_status = 401
    message = "This server asks for a token and the request carried none that it knows."
    remedy = (
        "Send 'Authorization: Bearer <token>' (a browser opens /?token=<token> once); the operator finds it where the"
        " server printed at its first start."
    )


class ForbiddenOrigin(MunimentError):
    code = "forbidden_origin"
    http_status = 403
    message = "Requests with {header} '{value}' are refused."
    remedy = "Call the server by localhost, or let the operator add the name to MUNIMENT_ALLOWED_HOSTS."

    def __init__(self, header: str, value: str) -> None:
        super().__init__(header=header, value=value)


class OpsReadOnly(MunimentError):
    code = "ops_read_only"
    http_status = 405
    message = "The queue dashboard only shows: {method} {path} is refused."
    remedy = "Change jobs with `muniment jobs` or the gateway's /api/v1/jobs."

    def __init__(self, method: str, path: str) -> None:
        super().__init__(method=method, path=path)


class NotConfigured(MunimentError):
    code = "not_configured"
    http_status = 500
    message = "{setting} is not set, and {service} cannot run without it."
    remedy = "Set it, or start everything with `muniment up`, which sets it."

    def __init__(self, setting: str, service: str) -> None:
        super().__init__(setting=setting, service=service)


class TokenRequired(MunimentError):
    code = "token_required"
    http_status = 500
    message = "Refusing to listen on {host} without a token."
    remedy = "Set MUNIMENT_TOKEN or MUNIMENT_TOKEN_FILE (at least 16 characters), or listen on 127.0.0.1."

    def __init__(self, host: str) -> None:
        super().__init__(host=host)


class OpsExposed(MunimentError):
    code = "ops_exposed"
    http_status = 500
    message = "Refusing to show rq-dashboard on {host}: it asks for no token."
    remedy = "Let it listen on 127.0.0.1, or set MUNIMENT_OPS_OPEN=true where only a private network reaches it."

    def __init__(self, host: str) -> None:
        super().__init__(host=host)


# --- a part of the system is away -------------------------------------------------------------------------------


class RedisUnavailable(MunimentError):
    code = "redis_unavailable"
    http_status = 503
    retryable = True
    message = "Redis does not answer at {url}: {detail}."
    remedy = "Nothing is lost; try again in a moment. Operators: check the redis service and MUNIMENT_REDIS_URL."

    def __init__(self, url: str, detail: str) -> None:
        super().__init__(url=url, detail=detail.rstrip("."))


class PushNotQueued(MunimentError):
    code = "push_not_queued"
    http_status = 503
    retryable = True
    message = "'{path}' is {done}, but Redis does not answer, so its indexing could not be queued."
    remedy = "Nothing is lost: the next reconcile takes it in. To have it sooner call again, which is harmless."

    def __init__(self, path: str, done: str) -> None:
        super().__init__(path=path, done=done)


class PushesBusy(MunimentError):
    code = "pushes_busy"
    http_status = 503
    retryable = True
    message = "Another process has been writing to {path} for {seconds:.0f} s."
    remedy = "Try again in a moment; if it lasts, look for a gateway that hangs."

    def __init__(self, path: str, seconds: float) -> None:
        super().__init__(path=path, seconds=seconds)


class ChromaUnavailable(MunimentError):
    code = "chroma_unavailable"
    http_status = 503
    retryable = True
    message = "The vector store does not answer at {url}: {detail}."
    remedy = "Lexical search goes on; vectors follow when it is back. Operators: check chroma and MUNIMENT_CHROMA_URL."

    def __init__(self, url: str, detail: str) -> None:
        super().__init__(url=url, detail=detail.rstrip("."))


class VectorsMissing(MunimentError):
    code = "vectors_missing"
    http_status = 503
    retryable = True
    message = "The vector store does not know the collection '{collection}'."
    remedy = "Answers are by words alone; start_indexing makes the vectors again."

    def __init__(self, collection: str) -> None:
        super().__init__(collection=collection)


class ModelGone(MunimentError):
    code = "model_gone"
    http_status = 503
    retryable = True
    message = "This index was made with the model '{model}', which is not here any more: the answer is by words alone."
    remedy = "Nothing to do: vectors of the configured model are being made by the next pass (start_indexing)."

    def __init__(self, model: str) -> None:
        super().__init__(model=model)


class VectorsTooSlow(MunimentError):
    code = "vectors_too_slow"
    http_status = 503
    retryable = True
    message = "The vector store did not answer within {milliseconds} ms."
    remedy = "This answer is by words alone; ask again when less is being indexed."

    def __init__(self, milliseconds: int) -> None:
        super().__init__(milliseconds=milliseconds)


class ServerUnavailable(MunimentError):
    code = "server_unavailable"
    http_status = 503
    retryable = True
    message = "No Muniment server answers at {url}."
    remedy = "Start one with `muniment up`, or set MUNIMENT_URL to where it runs."

    def __init__(self, url: str) -> None:
        super().__init__(url=url)


class UnexpectedAnswer(MunimentError):
    code = "unexpected_answer"
    http_status = 502
    message = "What answers at {url} is no Muniment server: {detail}."
    remedy = "Check MUNIMENT_URL and what stands in between, such as a proxy."

    def __init__(self, url: str, detail: str) -> None:
        super().__init__(url=url, detail=detail.rstrip("."))


class ModelUnavailable(MunimentError):
    code = "model_unavailable"
    http_status = 500
    message = "The embedding model {model} cannot be used: {detail}."
    remedy = "Reinstall muniment with its dependencies; models come with the packages, nothing downloads at run time."

    def __init__(self, model: str, detail: str) -> None:
        super().__init__(model=model, detail=detail)


class EmbedderUnavailable(MunimentError):
    """``retry_after``: seconds that the server asks to be left alone for, if it says."""

    code = "embedder_unavailable"
    http_status = 503
    retryable = True
    message = "The embedding server at {url} cannot be used now: {detail}."
    remedy = (
        "Lexical search goes on; vectors follow when it is back. Operators: check that server and"
        " MUNIMENT_EMBEDDING_URL."
    )

    def __init__(self, url: str, detail: str, retry_after: float | None = None) -> None:
        super().__init__(url=url, detail=detail.rstrip("."))
        self.retry_after = retry_after


class EmbedderRefused(MunimentError):
    code = "embedder_refused"
    http_status = 502
    message = "The embedding server at {url} makes no vectors with model '{model}': {detail}."
    remedy = (
        "Correct what it names (MUNIMENT_EMBEDDING_URL, _MODEL, _KEY or _DIMENSIONS), restart, then start the job"
        " again; until then answers are by words alone."
    )

    def __init__(self, url: str, model: str, detail: str) -> None:
        super().__init__(url=url, model=model, detail=detail.rstrip("."))


class DataFolderInUse(MunimentError):
    code = "data_folder_in_use"
    http_status = 409
    message = "Another Muniment already runs on {path} (pid {pid})."
    remedy = "Use it, stop it with `muniment down`, or choose another folder with --data-dir."

    def __init__(self, path: str, pid: int | str) -> None:
        super().__init__(path=path, pid=pid)


class PortTaken(MunimentError):
    code = "port_taken"
    http_status = 409
    message = "Cannot listen on {host} port {port} for {service}: it is in use, or not an address of this host."
    remedy = "Stop what listens there, or choose another with {setting}."

    def __init__(self, service: str, host: str, port: int, setting: str) -> None:
        super().__init__(service=service, host=host, port=port, setting=setting)


class StackNotRunning(MunimentError):
    code = "stack_not_running"
    http_status = 409
    message = "No Muniment runs on {path}."
    remedy = "Start one with `muniment up`, or name its folder with --data-dir."

    def __init__(self, path: str) -> None:
        super().__init__(path=path)


class StopFailed(MunimentError):
    code = "stop_failed"
    http_status = 500
    message = "Muniment on {path} (pid {pid}) did not end within {seconds:.0f} s."
    remedy = "Look at the logs in {path}/logs; `kill -9 {pid}` ends it with everything it started."

    def __init__(self, path: str, pid: int, seconds: float) -> None:
        super().__init__(path=path, pid=pid, seconds=seconds)


class StartFailed(MunimentError):
    code = "start_failed"
    http_status = 500
    message = "{service} did not start: {detail}."
    remedy = "Its log is {log}."

    def __init__(self, service: str, detail: str, log: str) -> None:
        detail = detail.removeprefix("error: ").rstrip(".")
        super().__init__(service=service, detail=detail, log=log)


# --- a pass had to stop -----------------------------------------------------------------------------------------


class WriterBusy(MunimentError):
    code = "writer_busy"
    http_status = 409
    retryable = True
    message = "Another process writes the index of project {project_id}."
    remedy = "Wait for it to end; the job stays queued and runs then."

    def __init__(self, project_id: str) -> None:
        super().__init__(project_id=project_id)


class LexicalIndexDamaged(MunimentError):
    code = "lexical_index_damaged"
    http_status = 503
    message = "The lexical index in {path} cannot be used: {detail}."
    remedy = "Nothing is lost: it is rebuilt from the sources by the next pass; start one with start_indexing."

    def __init__(self, path: str, detail: str) -> None:
        super().__init__(path=path, detail=detail)


class ManifestDamaged(MunimentError):
    code = "manifest_damaged"
    http_status = 503
    message = "The manifest {path} cannot be read: {detail}."
    remedy = "Nothing is lost: the index is rebuilt from the sources by the next pass; start one with start_indexing."

    def __init__(self, path: str, detail: str) -> None:
        super().__init__(path=path, detail=detail)


class LeaseLost(MunimentError):
    code = "lease_lost"
    http_status = 500
    retryable = True
    message = "This worker lost its lease on project {project_id}."
    remedy = "Nothing to do: whoever holds the lease now goes on from the last checkpoint."

    def __init__(self, project_id: str) -> None:
        super().__init__(project_id=project_id)


class AttemptsExhausted(MunimentError):
    code = "attempts_exhausted"
    http_status = 500
    message = "The job ended {attempts} times without finishing; the last time in phase {phase}, near '{last_file}'."
    remedy = "Look at the worker's log, exclude what it names with .munimentignore, then start the job again."

    def __init__(self, attempts: int, phase: str, last_file: str) -> None:
        super().__init__(attempts=attempts, phase=phase, last_file=last_file)


class DiskFull(MunimentError):
    code = "disk_full"
    http_status = 507
    retryable = True
    message = "No space left on the data volume at {path}."
    remedy = "Free some space; the index is consistent and the job goes on from its last checkpoint."

    def __init__(self, path: str) -> None:
        super().__init__(path=path)
