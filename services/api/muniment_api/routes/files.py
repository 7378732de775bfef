"""A project's files by name: what is indexed, and what is left out and why."""

from typing import Annotated

from fastapi import APIRouter, Query

from muniment.manifest import FilePage, FileState, Listing, ManifestReader
from muniment.scanning import SkipReason
from muniment_api.deps import InProject, Use

LONGEST_PATH = 4_096
PAGE_LIMIT = 1_000

router = APIRouter(prefix="/projects", tags=["projects"])


@router.get("/{p}/files", summary="The files of a project, by path: indexed, pending, skipped or failed")
def list_files(
    project: InProject,
    use: Use,
    state: Annotated[FileState | None, Query(description="Only files in this state.")] = None,
    reason: Annotated[SkipReason | None, Query(description="Only files skipped or failed for this reason.")] = None,
    path: Annotated[
        str, Query(max_length=LONGEST_PATH, description="Only this file, or the files below this folder.")
    ] = "",
    limit: Annotated[int, Query(ge=1, le=PAGE_LIMIT)] = 100,
    cursor: Annotated[
        str | None, Query(max_length=LONGEST_PATH, description="The ``next`` of the page before: its last path.")
    ] = None,
) -> FilePage:
    """What ignore rules hide is not listed. A file that a pass has found and not yet read is not listed either, until
    it was."""
    reader = ManifestReader.open(use.settings.folder.project(project.id).manifest)
    if reader is None:
        return FilePage(items=[])
    try:
        listing = Listing(state=state, reason=reason, below=path.strip("/"), after=cursor, limit=limit)
        return reader.listed(listing)
    finally:
        reader.close()
