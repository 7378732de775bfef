"""Files that are not on the server's disk: put their text, take it back."""

from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Path, Request

from muniment.errors import ErrorBody, InvalidValue
from muniment.pushed import PushAnswer
from muniment_api.deps import InProject, Use

router = APIRouter(prefix="/projects", tags=["files"])
FilePath = Annotated[str, Path(description="Relative to the project, '/' between its segments.")]
TEXT: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"text/plain": {"schema": {"type": "string", "description": "The file as it is, in UTF-8."}}},
    }
}


@router.put(
    "/{p}/files/{path:path}",
    status_code=202,
    summary="Put a file that is not on the server's disk",
    openapi_extra=TEXT,
    responses={413: {"model": ErrorBody, "description": "The text is larger than what is indexed."}},
)
async def put_file(project: InProject, path: FilePath, use: Use, request: Request) -> PushAnswer:
    """The body is the file's text, whatever its Content-Type says. Once answered it is on the disk, its secrets masked,
    in place of what this path had; ignore rules do not apply to it. The indexing is a queued job."""
    body = await request.body()
    try:
        content = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidValue("body", "...", f"it is not UTF-8 (at byte {error.start:,})") from error
    return await to_thread.run_sync(use.pushes.put, project.id, path, content)


@router.delete("/{p}/files/{path:path}", status_code=202, summary="Take back a file that was put")
def remove_file(project: InProject, path: FilePath, use: Use) -> PushAnswer:
    """A file of the same path on the server's disk is indexed again."""
    return use.pushes.remove(project.id, path)
