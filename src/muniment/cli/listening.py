"""What a gateway tells of jobs as it happens: its stream of events, opened again whenever it breaks."""

import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass

from httpx_sse import ServerSentEvent
from pydantic import BaseModel, ValidationError

from muniment.cli.client import SILENCE_SECONDS, Gateway
from muniment.errors import MunimentError, UnexpectedAnswer
from muniment.events import EventType
from muniment.jobs import Job

PATIENCE_SECONDS = 60.0  # a gateway, or its Redis, may be restarted while its jobs go on
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 3.0  # seconds between attempts to listen again

Look = Callable[[Job | None], list[Job]]


@dataclass(frozen=True)
class Time:
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic


REAL_TIME = Time()


class Carried(BaseModel):
    job: Job | None = None


class Told(BaseModel):
    """Of an event what matters here."""

    data: Carried


def listen(gateway: Gateway, project: str | None, look: Look, time: Time = REAL_TIME) -> Generator[Job]:
    """Yields for ever what ``look`` makes of each job that an event carries, of one project or of all.

    ``look(None)`` reads the records, which are the truth: once the gateway listens, again after each interruption, and
    when nothing was yielded for SILENCE_SECONDS. An event that follows may be older than what was read. Raises the
    error of a gateway that stays away for a minute.
    """
    answered = shown = time.clock()
    pause = FIRST_PAUSE
    while True:
        try:
            with closing(gateway.events(project)) as events:
                for event in events:
                    job, now = job_of(event), time.clock()
                    unsure = not event.data or event.event == EventType.RESYNC or now - shown > SILENCE_SECONDS
                    if job is None and not unsure:
                        continue
                    found = look(None if unsure else job)
                    answered, pause = time.clock(), FIRST_PAUSE
                    shown = answered if found or unsure else shown
                    yield from found
        except MunimentError as error:
            if not error.body().retryable or time.clock() - answered > PATIENCE_SECONDS:
                raise
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


def job_of(event: ServerSentEvent) -> Job | None:
    """Raises UnexpectedAnswer when it is no event of ours."""
    if not event.data:
        return None
    try:
        return Told.model_validate_json(event.data).data.job
    except ValidationError as error:
        raise UnexpectedAnswer("the gateway", "its events cannot be read") from error
