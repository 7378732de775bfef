"""Parameters that several tools share, with what clients read of them."""

from typing import Annotated

from pydantic import Field

ProjectName = Annotated[str, Field(description="Name or id of the project; list_projects shows them.")]
Language = Annotated[str | None, Field(description="Only files of this language, e.g. 'python', 'go', 'markdown'.")]
PathGlob = Annotated[str | None, Field(description="Only paths that match this glob, e.g. 'src/**/*.py'.")]
Tags = Annotated[str | list[str], Field(description="Tags, as a list or separated by commas.")]
JobId = Annotated[str, Field(description="As returned by the tool that started the job.")]
