"""A pass had to stop."""

from muniment.errors.base import MunimentError


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


class DataTooNew(MunimentError):
    code = "data_too_new"
    http_status = 500
    message = "{file} was written by a later version of Muniment (format {found}; this one knows {known})."
    remedy = "Start the version that wrote it, or restore a backup from before the upgrade."

    def __init__(self, file: str, found: int, known: int) -> None:
        super().__init__(file=file, found=found, known=known)
