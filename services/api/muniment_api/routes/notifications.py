"""Notifications: whom a project tells of its jobs, a test of it, and what became of all messages."""

from datetime import datetime
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter
from pydantic import BaseModel, Field

from muniment.errors import UnknownProject
from muniment.notices import NoticeKind, checked, masked, receiver_kind
from muniment.notifying.deliveries import KindCounts
from muniment.notifying.message import trial_message
from muniment.notifying.receivers import receiver_for
from muniment.notifying.store import Choice
from muniment.project import Project
from muniment_api.deps import InProject, Services, Use
from muniment_api.notifier import Outcome
from muniment_api.routes.bodies import Body

router = APIRouter(tags=["notifications"])
On = Annotated[list[NoticeKind] | None, Field(description="What is told; null: what the server tells.")]


class ShownReceiver(BaseModel):
    """``id`` names a project's own receiver, null the server's. No URL is shown whole: it may hold a secret."""

    id: str | None
    url: str
    kind: str


class ServerNotifications(BaseModel):
    """``counts``: of this gateway since ``since``, for receivers of projects too."""

    receivers: list[ShownReceiver]
    on: list[NoticeKind]
    signed: bool
    since: datetime
    counts: list[KindCounts]


class ProjectNotifications(BaseModel):
    """``receivers``: the project's own; the server's are told besides. ``on``: what they are told."""

    project: str
    receivers: list[ShownReceiver]
    on: list[NoticeKind]
    on_is_default: bool


class Outcomes(BaseModel):
    items: list[Outcome]
    next: str | None = None


class NotificationsBody(Body):
    urls: list[str] = Field(description="All of them: those that are not named go.")
    on: On = None


class ChangeBody(Body):
    add: list[str] = Field([], description="URLs.")
    remove: list[str] = Field([], description="Receivers, by their id or whole URL.")
    on: On = None


@router.get("/notifications", summary="Whom the server notifies, and what became of all messages")
def server_notifications(use: Use) -> ServerNotifications:
    settings = use.settings
    return ServerNotifications(
        receivers=[_shown(None, url) for url in settings.notify_urls],
        on=_ordered(settings.notify_kinds),
        signed=settings.notify_secret is not None,
        since=use.notifier.since,
        counts=use.notifier.counts(),
    )


@router.get("/projects/{p}/notifications", summary="Whom a project notifies of its jobs")
def project_notifications(project: InProject, use: Use) -> ProjectNotifications:
    return _answer(use, project, use.notifications.get(project.id))


@router.put("/projects/{p}/notifications", summary="Set whom a project notifies of its jobs")
def set_notifications(project: InProject, body: NotificationsBody, use: Use) -> ProjectNotifications:
    """Replaces all of it. URLs are `https://...` for a signed webhook, or any that Apprise knows."""
    urls = _sound(body.urls, "urls")
    return _answer(use, project, use.notifications.put(project.id, urls, body.on))


@router.patch("/projects/{p}/notifications", summary="Add and remove receivers of a project's notifications")
def change_notifications(project: InProject, body: ChangeBody, use: Use) -> ProjectNotifications:
    """What is left out stays as it is; an `on` of null goes back to what the server tells."""
    choice = use.notifications.change(
        project.id,
        add=_sound(body.add, "add"),
        remove=body.remove,
        on=body.on,
        sets_on="on" in body.model_fields_set,
    )
    return _answer(use, project, choice)


@router.post("/projects/{p}/notifications/test", summary="Send a test to everyone who is told of a project's jobs")
async def test_notifications(project: InProject, use: Use) -> Outcomes:
    """Each is tried once; answers within half a minute."""
    choice = await to_thread.run_sync(use.notifications.get, project.id)
    urls = list(dict.fromkeys([*use.settings.notify_urls, *choice.urls]))
    return Outcomes(items=await use.notifier.try_out(urls, trial_message(project.name)))


def _sound(urls: list[str], field: str) -> list[str]:
    """The URLs as they are kept. Raises ReceiverRefused."""
    for url in urls:
        receiver_for(url, field, None)
    return [checked(field, url) for url in urls]


def _answer(use: Services, project: Project, choice: Choice | None) -> ProjectNotifications:
    if choice is None:  # removed meanwhile
        raise UnknownProject(project.name, [one.name for one in use.projects.all()])
    return ProjectNotifications(
        project=project.name,
        receivers=[_shown(one.id, one.url) for one in choice.receivers],
        on=_ordered(use.settings.notify_kinds if choice.on is None else choice.on),
        on_is_default=choice.on is None,
    )


def _shown(receiver_id: str | None, url: str) -> ShownReceiver:
    return ShownReceiver(id=receiver_id, url=masked(url), kind=receiver_kind(url))


def _ordered(kinds: frozenset[NoticeKind] | list[NoticeKind]) -> list[NoticeKind]:
    return [kind for kind in NoticeKind if kind in kinds]
