"""What the tests of the dashboard look at, and how far they let a job come."""

from playwright.sync_api import Locator, Page

from muniment.jobs import FileCounts, Job, Phase, Progress
from muniment.project import Project


def card(page: Page, project: Project) -> Locator:
    return page.locator(f"#projects > [data-id='{project.id}']")


def job_row(page: Page, job: Job) -> Locator:
    return page.locator(f"#jobs > [data-id='{job.id}']")


def reading(done: int, total: int, **more: object) -> Progress:
    fields = {"phase": Phase.LEXICAL, "files": FileCounts(total=total, done=done), "percent": 30.0 * done / total}
    return Progress.model_validate(fields | more)
