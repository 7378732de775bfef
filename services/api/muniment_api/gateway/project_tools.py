"""Tools for projects: make, list, rebuild, look at and wait for their index, fill them, remove them."""

from typing import Annotated, Any

from anyio import to_thread
from mcp.server.mcpserver import Context
from mcp_types import CallToolResult
from pydantic import Field

from muniment.intake import JobAnswer, ProjectAnswer, ProjectRequest
from muniment.jobs import Job, JobKind
from muniment.pushed import PushAnswer
from muniment.removal import ProjectRemoved
from muniment.status import ProjectStatus
from muniment_api import answers
from muniment_api.answers import MAX_WAIT, Projects, WaitAnswer
from muniment_api.deps import Services
from muniment_api.gateway import text
from muniment_api.gateway.parameters import ProjectName
from muniment_api.gateway.server import ADDS, DELETES, READS, GatewayServer, answer


class RisingProgress:
    """Percentages as the protocol wants them, always higher than before: a job that is resumed, and the one after it,
    begin at zero again and count as another hundred."""

    def __init__(self) -> None:
        self._rounds = 0
        self._last = -1.0
        self._reached = -1.0

    def next(self, percent: float) -> tuple[float, float] | None:
        """Progress and total; None when there is nothing higher to tell."""
        if percent < self._last:
            self._rounds += 1
        self._last = percent
        progress = 100.0 * self._rounds + percent
        if progress <= self._reached:
            return None
        self._reached = progress
        return progress, 100.0 * (self._rounds + 1)


class ProjectTools:
    def __init__(self, services: Services) -> None:
        self._services = services

    def init_project(
        self,
        project: Annotated[str, Field(description="Name: letters, digits, '.', '_', '-'; at most 63.")],
        watch_paths: Annotated[
            list[str] | None,
            Field(
                description="Absolute folders on the server; needed for a new project; [] if put_file is to fill it."
            ),
        ] = None,
        watch_patterns: Annotated[
            list[str] | None, Field(description="Globs that a file must match; empty takes every file.")
        ] = None,
        watch_exclude: Annotated[
            list[str] | None, Field(description="Globs to leave out, besides .gitignore and the usual.")
        ] = None,
        watch: Annotated[bool | None, Field(description="Take changes as they happen; true for a new project.")] = None,
    ) -> Annotated[CallToolResult, ProjectAnswer]:
        """Make or update a project: fields given replace, fields omitted stay. Starts indexing and returns at once."""
        request = ProjectRequest(
            name=project,
            watch_paths=watch_paths,
            watch_patterns=watch_patterns,
            watch_exclude=watch_exclude,
            watch=watch,
        )
        made = self._services.intake.init_project(request)
        return answer(text.init_text(made), made)

    def list_projects(self) -> Annotated[CallToolResult, Projects]:
        """All projects with their folders and how complete their index is."""
        found = answers.projects(self._services)
        return answer(text.projects_text(found), found)

    def index_files(self, project: ProjectName) -> Annotated[CallToolResult, JobAnswer]:
        """Rebuild a whole index: every file is read again, old content answering until replaced. Returns a job id.

        Seldom needed; start_indexing reads only what changed.
        """
        queued = self._services.intake.start(project, JobKind.REINDEX)
        return answer(f"{queued.message}\nJob: {queued.job_id}", queued)

    def index_status(self, project: ProjectName) -> Annotated[CallToolResult, ProjectStatus]:
        """How complete and fresh an index is: coverage, pending changes, the current or last job."""
        status = self._services.status.project_status(self._services.projects.get(project))
        return answer(text.status_text(status), status)

    async def wait_for_index(
        self,
        project: ProjectName,
        context: Context[dict[str, Any], Any],
        timeout: Annotated[float, Field(ge=0, description=f"Seconds; more than {MAX_WAIT:.0f} counts as that.")] = (
            MAX_WAIT
        ),
    ) -> Annotated[CallToolResult, WaitAnswer]:
        """Wait until all that is queued or changed now is searchable; ready=false when it is not within the timeout.

        A failed job, or a paused one with nothing left beside it, ends the wait at once.
        """
        told = RisingProgress()

        async def on_progress(job: Job) -> None:
            if (rise := told.next(job.percent)) is not None:
                await context.report_progress(*rise, text.progress_line(job))

        of = await to_thread.run_sync(self._services.projects.get, project)
        waited = await answers.wait_for_index(self._services, of, timeout, on_progress)
        return answer(text.wait_text(waited), waited)

    def put_file(
        self,
        project: ProjectName,
        path: Annotated[str, Field(description="Relative to the project, '/' between its segments.")],
        content: Annotated[str, Field(description="The whole text; it replaces what this path had.")],
    ) -> Annotated[CallToolResult, PushAnswer]:
        """Index a text that is not on the server's disk; secrets in it are masked. It hides a file of the same path."""
        put = self._services.pushes.put(project, path, content)
        return answer(f"{put.message}\nJob: {put.job_id}", put)

    def remove_file(
        self,
        project: ProjectName,
        path: Annotated[str, Field(description="As it was given to put_file.")],
    ) -> Annotated[CallToolResult, PushAnswer]:
        """Take back a file of put_file. Files on the server's disk leave the index when they are deleted there."""
        removed = self._services.pushes.remove(project, path)
        return answer(f"{removed.message}\nJob: {removed.job_id}", removed)

    def remove_project(
        self,
        project: ProjectName,
        confirm: Annotated[
            bool, Field(description="Without it nothing happens; the error says what would go.")
        ] = False,
    ) -> Annotated[CallToolResult, ProjectRemoved]:
        """Remove a project: its jobs, index and put files. Its memories are kept in a file on the server."""
        removed = self._services.remover.remove(project, confirm=confirm)
        return answer(removed.message, removed)


def register(mcp: GatewayServer, services: Services) -> None:
    tools = ProjectTools(services)
    mcp.offer(tools.init_project, ADDS)
    mcp.offer(tools.list_projects, READS)
    mcp.offer(tools.index_files, ADDS)
    mcp.offer(tools.index_status, READS)
    mcp.offer(tools.wait_for_index, READS)
    mcp.offer(tools.put_file, ADDS)
    mcp.offer(tools.remove_file, DELETES)
    mcp.offer(tools.remove_project, DELETES)
