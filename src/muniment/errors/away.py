"""A part of the system is away, or lost: what it holds, and what to do."""

from muniment.errors.base import MunimentError


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


class DatabaseBusy(MunimentError):
    code = "database_busy"
    http_status = 503
    retryable = True
    message = "A database below {path} has been locked by another process for {seconds:.0f} s."
    remedy = "Nothing is lost; it is tried again. If it lasts, look for a process of Muniment that stands still."

    def __init__(self, path: str, seconds: float) -> None:
        super().__init__(path=path, seconds=seconds)


class ManifestUnreadable(MunimentError):
    code = "manifest_unreadable"
    http_status = 503
    retryable = True
    message = "The manifest {path} cannot be opened: {detail}."
    remedy = "Nothing is lost; check that the server may read the data folder, and how many files it has open."

    def __init__(self, path: str, detail: str) -> None:
        super().__init__(path=path, detail=detail)


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


class VectorsPending(MunimentError):
    code = "vectors_pending"
    http_status = 409
    retryable = True
    message = "The vectors of '{path}' in project '{project}' are not made yet."
    remedy = "wait_for_index waits for them; search_code finds by words meanwhile."

    def __init__(self, path: str, project: str) -> None:
        super().__init__(path=path, project=project)


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
    remedy = "This answer is by words alone; ask again in a moment."

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
