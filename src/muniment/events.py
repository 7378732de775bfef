"""Events: what happened, told once to everyone. State changes go to the stream and the channel, progress to the
channel only (its truth is the job record)."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel


class EventType(StrEnum):
    PROJECT_CREATED = "project_created"
    PROJECT_UPDATED = "project_updated"
    PROJECT_REMOVED = "project_removed"
    JOB_QUEUED = "job_queued"
    INDEX_STARTED = "index_started"
    INDEX_PROGRESS = "index_progress"
    INDEX_MILESTONE = "index_milestone"
    INDEX_COMPLETE = "index_complete"
    INDEX_FAILED = "index_failed"
    INDEX_PAUSED = "index_paused"
    INDEX_RESUMED = "index_resumed"
    INDEX_CANCELLED = "index_cancelled"
    MEMORY_STORED = "memory_stored"
    MEMORY_UPDATED = "memory_updated"
    MEMORY_SUPERSEDED = "memory_superseded"
    MEMORY_DELETED = "memory_deleted"
    MEMORIES_PRUNED = "memories_pruned"
    MEMORIES_IMPORTED = "memories_imported"
    RESYNC = "resync"


MEANING: dict[EventType, str] = {
    EventType.PROJECT_CREATED: "A project was made; data carries it.",
    EventType.PROJECT_UPDATED: "A project's paths, patterns or watch flag changed; data carries it.",
    EventType.PROJECT_REMOVED: "A project and its index were removed.",
    EventType.JOB_QUEUED: "A job was queued, or an interrupted one was put back; data carries the job.",
    EventType.INDEX_STARTED: "A worker began a job; data carries the job.",
    EventType.INDEX_PROGRESS: "A running job's counters, at most every 0.5 s; data carries the job. Not replayed.",
    EventType.INDEX_MILESTONE: "A long job has come another quarter of its way; data carries the job.",
    EventType.INDEX_COMPLETE: "A job completed, perhaps with errors; data carries the job.",
    EventType.INDEX_FAILED: "A job failed; data carries the job with its error.",
    EventType.INDEX_PAUSED: "A job was paused; data carries the job.",
    EventType.INDEX_RESUMED: "A paused job was queued again; data carries the job.",
    EventType.INDEX_CANCELLED: "A job was cancelled; data carries the job.",
    EventType.MEMORY_STORED: "A memory was stored; data carries its id and tags.",
    EventType.MEMORY_UPDATED: "A memory changed (text, tags, source, code) or came back; data carries its id and tags.",
    EventType.MEMORY_SUPERSEDED: "A memory was replaced; data carries its id, and the other's as superseded_by.",
    EventType.MEMORY_DELETED: "A memory was deleted; data carries its id.",
    EventType.MEMORIES_PRUNED: "Memories that nobody used were deleted; data carries their number as deleted.",
    EventType.MEMORIES_IMPORTED: "Memories were imported; data carries how many were added and updated.",
    EventType.RESYNC: "Events were missed (the stream was trimmed or lost): read the current state again.",
}


class Event(BaseModel):
    """``id`` is the stream id, None for events that are not kept."""

    id: str | None = None
    type: EventType
    at: datetime
    project: str | None = None
    project_id: str | None = None
    job_id: str | None = None
    data: dict[str, Any] = {}
