"""The stream of events."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query

from muniment.events import MEANING, Event
from muniment.project import Project
from muniment_api.deps import Use
from muniment_api.feed import every_event
from muniment_api.sse import EventStream, frames

router = APIRouter(tags=["events"])
EVENT = "#/components/schemas/Event"
EVENT_ID = r"^\d{1,18}(-\d{1,18})?$"

DESCRIPTION = """Server-sent events. `event:` is the type, `data:` the Event as JSON, `id:` its place in the stream
(progress has none). A client that comes back with `Last-Event-ID`, as browsers do by themselves, first gets what it
missed, or one `resync` when that is no longer kept. A comment every 15 s keeps the connection alive.

""" + "\n".join(f"- `{kind.value}`: {meaning}" for kind, meaning in MEANING.items())

# FastAPI knows event streams as generators only; ours says itself what it holds
EVENT_SCHEMA = {"type": "string", "contentMediaType": "application/json", "contentSchema": {"$ref": EVENT}}
RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The stream; `data:` of each is an Event.",
        "content": {"text/event-stream": {"itemSchema": {"type": "object", "properties": {"data": EVENT_SCHEMA}}}},
    }
}


def only_project(
    use: Use, project: Annotated[str | None, Query(description="Only events of this project (name or id).")] = None
) -> Project | None:
    return use.projects.get(project) if project else None


@router.get(
    "/events",
    summary="Follow what happens",
    description=DESCRIPTION,
    status_code=200,
    response_class=EventStream,
    responses=RESPONSES,
)
async def follow_events(
    use: Use,
    project: Annotated[Project | None, Depends(only_project)],
    last_event_id: Annotated[
        str | None, Query(pattern=EVENT_ID, description="For clients that cannot set the header.")
    ] = None,
    last_event_id_header: Annotated[str | None, Header(alias="Last-Event-ID", pattern=EVENT_ID)] = None,
) -> EventStream:
    def of_the_project(event: Event) -> bool:
        return project is not None and event.project_id == project.id

    wanted = every_event if project is None else of_the_project
    # the header wins: a browser that reconnects repeats the address it was given, but moves the header on
    return EventStream(frames(use.feed, use.listener, wanted, last_event_id_header or last_event_id))
