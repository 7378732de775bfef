"""What a search answers."""

from typing import Final

from pydantic import BaseModel, Field

MAX_LIMIT: Final = 100


class Place(BaseModel):
    """Lines ``start_line``..``end_line`` of a file, 1-based and inclusive."""

    start_line: int
    end_line: int
    symbol: str | None


class FilePlace(Place):
    path: str
    project: str


class SearchHit(BaseModel):
    """One file's best chunk: lines ``start_line``..``end_line``, 1-based and inclusive."""

    project: str
    path: str
    start_line: int
    end_line: int
    symbol: str | None
    language: str | None
    kind: str
    score: float = Field(ge=0, le=1, description="1: first by words and by meaning; comparable within one answer only.")
    text: str = Field(description="The text as indexed, even when the file has changed since.")
    cut_lines: int = Field(0, description="Lines of this place that `text` leaves out, to fit max_tokens.")
    stale: bool = Field(description="The file on disk differs from what was indexed.")
    also: list[Place] = Field([], description="Further places of the file that match well, best first.")


class SearchOutcome(BaseModel):
    results: list[SearchHit] = []
    gone: int = Field(0, description="Files that match but are gone by now: left out; the next pass removes them.")
    notes: list[str] = Field([], description="How the question was taken, where that is not obvious.")
    degraded: list[str] = Field([], description="What could not take part in this answer, and why.")


class RelatedOutcome(BaseModel):
    """``of``: the place that was asked about; its own chunk is not among the results."""

    of: FilePlace
    results: list[SearchHit] = []
    gone: int = Field(0, description="Files that match but are gone by now: left out.")
    degraded: list[str] = Field([], description="What could not take part in this answer, and why.")
