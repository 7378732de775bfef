"""Tools for jobs: start one, look at it, list them, stop one and let it go on, see what waits."""

from typing import Annotated

from mcp_types import CallToolResult
from pydantic import Field

from muniment.backlog import QueueStatus
from muniment.intake import JobAnswer
from muniment.job_records import PAGE_LIMIT
from muniment.jobs import Job, JobKind, JobPage, JobStatus
from muniment_api import answers
from muniment_api.deps import Services
from muniment_api.gateway import text
from muniment_api.gateway.parameters import JobId, ProjectName
from muniment_api.gateway.server import ADDS, DELETES, READS, GatewayServer, answer


class JobTools:
    def __init__(self, services: Services) -> None:
        self._services = services

    def start_indexing(
        self,
        project: ProjectName,
        path: Annotated[
            str | None, Field(description="One file or folder, relative to the project or absolute; else everything.")
        ] = None,
        recursive: Annotated[bool, Field(description="Take the folders below a folder too.")] = True,
        force: Annotated[bool, Field(description="Read files again even if they look unchanged.")] = False,
    ) -> Annotated[CallToolResult, JobAnswer]:
        """Bring an index up to date with the files on disk, in the background. Returns a job id at once.

        A request joins the job that already waits for the project, if there is one.
        """
        kind = JobKind.REINDEX if force else JobKind.UPDATE if path else JobKind.RECONCILE
        paths = [path] if path else []
        queued = self._services.intake.start(project, kind, paths=paths, recursive=recursive)
        return answer(f"{queued.message}\nJob: {queued.job_id}", queued)

    def get_job_status(self, job_id: JobId) -> Annotated[CallToolResult, Job]:
        """One job: state, phase, files done and failed, rate, time left, error."""
        job = self._services.queue.get(job_id)
        return answer(text.job_text(job), job)

    def list_jobs(
        self,
        project: Annotated[str | None, Field(description="Only jobs of this project, by name or id.")] = None,
        status: Annotated[JobStatus | None, Field(description="Only jobs in this state.")] = None,
        path: Annotated[str | None, Field(description="Only jobs whose paths or last file contain this.")] = None,
        limit: Annotated[int, Field(ge=1, le=PAGE_LIMIT, description="Most jobs in the answer.")] = 20,
        cursor: Annotated[
            str | None, Field(pattern=r"^\d+:[0-9a-f]+$", description="`next` of the page before.")
        ] = None,
    ) -> Annotated[CallToolResult, JobPage]:
        """Jobs, newest first, of the last 7 days."""
        project_id = self._services.projects.get(project).id if project else None
        statuses = frozenset({status} if status else ())
        page = self._services.queue.list(
            project_id=project_id, statuses=statuses, path=path, limit=limit, cursor=cursor
        )
        return answer(text.jobs_text(page), page)

    def pause_job(self, job_id: JobId) -> Annotated[CallToolResult, Job]:
        """Keep a waiting or running job until resume_job. It stops within a second; what it had indexed stays."""
        job = self._services.queue.pause(job_id)
        return answer(text.job_text(job), job)

    def resume_job(self, job_id: JobId) -> Annotated[CallToolResult, Job]:
        """Queue a paused job again, before those that were asked for later. It does what is left."""
        job = self._services.queue.resume(job_id)
        return answer(text.job_text(job), job)

    def cancel_job(
        self,
        job_id: JobId,
        confirm: Annotated[
            bool, Field(description="Without it nothing happens; the error says what would end.")
        ] = False,
    ) -> Annotated[CallToolResult, Job]:
        """End a waiting, running or paused job for good. What it had indexed stays."""
        job = answers.cancel_job(self._services, job_id, confirm=confirm)
        return answer(text.job_text(job), job)

    def queue_status(
        self,
        project: Annotated[str | None, Field(description="Only this project, by name or id.")] = None,
    ) -> Annotated[CallToolResult, QueueStatus]:
        """What waits and who works: jobs and changed paths per project, longest wait, slots in use."""
        status = answers.queue_status(self._services, self._services.projects.get(project) if project else None)
        return answer(text.queue_text(status), status)


def register(mcp: GatewayServer, services: Services) -> None:
    tools = JobTools(services)
    mcp.offer(tools.start_indexing, ADDS)
    mcp.offer(tools.get_job_status, READS)
    mcp.offer(tools.list_jobs, READS)
    mcp.offer(tools.pause_job, ADDS)
    mcp.offer(tools.resume_job, ADDS)
    mcp.offer(tools.cancel_job, DELETES)
    mcp.offer(tools.queue_status, READS)
