"""What a search answers."""

from typing import Final, Self

from pydantic import BaseModel, Field, PrivateAttr

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
    _cut_above: int = PrivateAttr(0)  # of the lines that are cut, those before the text

    @property
    def place(self) -> FilePlace:
        """All of it, whatever ``text`` leaves out."""
        start = self.start_line - self._cut_above
        end = self.end_line + self.cut_lines - self._cut_above
        return FilePlace(project=self.project, path=self.path, start_line=start, end_line=end, symbol=self.symbol)

    def cut_to(self, text: str, start_line: int, end_line: int) -> Self:
        """The same place, of whose text only these lines are shown."""
        lines = self.cut_lines + self.end_line - self.start_line - (end_line - start_line)
        change = {"text": text, "start_line": start_line, "end_line": end_line, "cut_lines": lines}
        cut = self.model_copy(update=change)
        cut._cut_above += start_line - self.start_line
        return cut


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
