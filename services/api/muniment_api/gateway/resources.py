"""Resources: the status of each project and each job, as JSON."""

from collections.abc import Iterable

from mcp_types import Resource

from muniment.jobs import Job
from muniment.project import Project
from muniment_api.deps import Services

PROJECT_URI, JOB_URI = "muniment://projects/{project}", "muniment://jobs/{job_id}"
JSON = "application/json"
PROJECTS_LISTED = 200
JOBS_LISTED = 50


def project_uri(known: str) -> str:
    """Of a project's name or id."""
    return PROJECT_URI.format(project=known)


def job_uri(job_id: str) -> str:
    return JOB_URI.format(job_id=job_id)


class Resources:
    def __init__(self, services: Services) -> None:
        self._services = services

    def project(self, project: str) -> str:
        """How complete and fresh a project's index is, by its name or id. The same as index_status."""
        return self._services.status.project_status(self._services.projects.get(project)).model_dump_json()

    def job(self, job_id: str) -> str:
        """One job with its progress. The same as get_job_status."""
        return self._services.queue.get(job_id).model_dump_json()

    def listed(self) -> list[Resource]:
        """A bounded part of what can be read: projects, the newest jobs, and older ones that have not ended."""
        projects = self._services.projects.all()[:PROJECTS_LISTED]
        return [*map(_of_project, projects), *map(_of_job, self._jobs(projects))]

    def _jobs(self, projects: Iterable[Project]) -> list[Job]:
        queue = self._services.queue
        page = queue.list(limit=JOBS_LISTED)
        if page.next is None:
            return page.items
        known = {job.id for job in page.items}
        older = [job_id for project in projects for job_id in queue.unfinished(project.id).ids if job_id not in known]
        return [*page.items, *queue.read(older[:JOBS_LISTED])]


def _of_project(project: Project) -> Resource:
    return Resource(
        uri=project_uri(project.id),
        name=project.name,
        title=f"Project '{project.name}'",
        description="How complete and fresh its index is.",
        mime_type=JSON,
    )


def _of_job(job: Job) -> Resource:
    return Resource(
        uri=job_uri(job.id),
        name=job.id,
        title=f"Job {job.id}: {job.kind} of '{job.project}'",
        description=f"It is {job.status}.",
        mime_type=JSON,
    )
