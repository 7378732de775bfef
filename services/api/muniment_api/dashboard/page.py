"""The page at ``/`` and its static files."""

from pathlib import Path

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

import muniment
from muniment.queue import utc_now
from muniment.redis_client import REDIS_ERRORS
from muniment_api.dashboard.views import (
    JOBS_SHOWN,
    JobView,
    PageView,
    ProjectView,
    job_view,
    project_view,
    shown_jobs,
    utc_hour,
    utc_text,
)
from muniment_api.deps import Services, Use

FOLDER = Path(__file__).parent

# the second line makes the browser itself refuse to take HTML from a string
POLICY = (
    "default-src 'self'; base-uri 'none'; object-src 'none'; form-action 'self'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
SAFE = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}

router = APIRouter(include_in_schema=False)


class DashboardFiles(StaticFiles):
    """Asked again at each visit (an ETag answers): modules that import each other carry no version in their names."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update(SAFE | {"Cache-Control": "no-cache"})
        return response


def mount_dashboard(app: FastAPI) -> None:
    """Serves the page at ``/`` and its files below ``/static``; the app's middleware decides who may see them."""
    app.include_router(router)
    app.mount("/static", DashboardFiles(directory=FOLDER / "static"), name="static")


def _templates() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"utc": utc_text, "utc_hour": utc_hour}
    return environment


TEMPLATES = _templates()


@router.get("/", response_class=HTMLResponse)
def dashboard(request: Request, use: Use) -> HTMLResponse:
    html = TEMPLATES.get_template("page.html").render(
        page=_page(use),
        blank_project=ProjectView(),
        blank_job=JobView(),
        base_url=str(request.base_url),
        token_needed=use.token is not None,
        jobs_shown=JOBS_SHOWN,
        version=muniment.__version__,
    )
    return HTMLResponse(html, headers=SAFE | {"Cache-Control": "no-store"})


def _page(services: Services) -> PageView:
    """Without Redis the page still shows which projects there are; the rest comes with the first resync."""
    projects, now = services.projects.all(), utc_now()
    try:
        statuses = [services.status.project_status(one) for one in projects]
        recent = services.queue.list(limit=JOBS_SHOWN).items
        paused = [job for one in projects for job in services.queue.paused(one.id)]
    except REDIS_ERRORS as error:
        away = services.connections.unavailable(error)
        return PageView(projects=[project_view(one, None, now) for one in projects], problem=str(away))
    return PageView(
        projects=[project_view(one, status, now) for one, status in zip(projects, statuses, strict=True)],
        jobs=[job_view(job, now) for job in shown_jobs(recent, [*paused, *(status.job for status in statuses)])],
    )
