"""The files of a project as the manifest knows them, a page at a time: what is indexed, what is left out and why."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, Field

from muniment.manifest.schema import BELOW, below_values

# A file that the scan left out may still have a row with the text that it had before; the scan knows better.
LISTED = """
SELECT f.path AS path,
       CASE WHEN l.failed THEN 'failed' WHEN l.failed = 0 OR f.skipped IS NOT NULL THEN 'skipped'
            WHEN f.error IS NOT NULL THEN 'failed' WHEN f.hash IS NULL OR f.pending > 0 THEN 'pending'
            ELSE 'indexed' END AS state,
       COALESCE(l.reason, f.skipped, f.error) AS reason,
       f.size AS size, f.mtime_ns AS mtime_ns, f.chunks AS chunks, f.masked AS masked, f.by_lines AS by_lines,
       f.pushed AS pushed
FROM files f LEFT JOIN left_out l ON l.path = f.path
UNION ALL
SELECT l.path, CASE WHEN l.failed THEN 'failed' ELSE 'skipped' END, l.reason, NULL, NULL, 0, 0, NULL, 0
FROM left_out l WHERE NOT EXISTS (SELECT 1 FROM files f WHERE f.path = l.path)
"""


class FileState(StrEnum):
    INDEXED = "indexed"
    PENDING = "pending"  # known, but its text or its vectors are not in the index yet
    SKIPPED = "skipped"
    FAILED = "failed"  # what was indexed of it before still answers


class ListedFile(BaseModel):
    """``path`` names a folder where a whole one could not be read."""

    path: str
    state: FileState
    reason: str | None = Field(description="Why it is skipped or failed.")
    size: int | None = Field(description="Bytes, as last read.")
    modified: datetime | None
    chunks: int = Field(description="Chunks that answer now.")
    masked: int = Field(description="Secrets masked in it.")
    by_lines: str | None = Field(description="Why it was cut by lines although its language has a grammar.")
    pushed: bool = Field(description="Its text was put by the API.")


class FilePage(BaseModel):
    items: list[ListedFile]
    next: str | None = None


class Listing(BaseModel):
    """Which files to list. ``below``: a folder or a file; ``after``: the last path of the page before."""

    state: FileState | None = None
    reason: str | None = None
    below: str = ""
    after: str | None = None
    limit: int = 100

    def query(self) -> tuple[str, list[object]]:
        """Finds one row more than the page holds, so that one knows whether another page follows."""
        wanted: list[tuple[str, list[object]]] = []
        if self.after is not None:
            wanted.append(("path > ?", [self.after]))
        if self.below:
            wanted.append((BELOW, [*below_values(self.below)]))
        wanted += [
            (f"{name} = ?", [value]) for name, value in (("state", self.state), ("reason", self.reason)) if value
        ]
        where = f"WHERE {' AND '.join(condition for condition, _ in wanted)}" if wanted else ""
        values = [value for _, given in wanted for value in given]
        return f"SELECT * FROM ({LISTED}) {where} ORDER BY path LIMIT ?", [*values, self.limit + 1]

    def page(self, rows: list[Any]) -> FilePage:
        items = [_listed(dict(row)) for row in rows[: self.limit]]
        return FilePage(items=items, next=items[-1].path if len(rows) > self.limit else None)


def _listed(row: dict[str, Any]) -> ListedFile:
    mtime_ns, size = row.pop("mtime_ns"), row.pop("size")
    read = size is not None and size >= 0  # a row that waits to be read again has no size
    modified = datetime.fromtimestamp(mtime_ns / 1e9, UTC) if read else None
    return ListedFile(**row, size=size if read else None, modified=modified)
