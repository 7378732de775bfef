"""Parameters that several tools share, with what clients read of them."""

from typing import Annotated

from pydantic import Field

ProjectName = Annotated[str, Field(description="Name or id of the project; list_projects shows them.")]
Language = Annotated[str | None, Field(description="Only files of this language, e.g. 'python', 'go', 'markdown'.")]
PathGlobs = Annotated[
    str | list[str] | None, Field(description="Only paths like this glob: 'src/**/*.py'; '!docs/**' excludes.")
]
OtherProjects = Annotated[str | list[str] | None, Field(description="Other projects too; '*' is all.")]
Tags = Annotated[str | list[str], Field(description="Tags, as a list or separated by commas.")]
JobId = Annotated[str, Field(description="As returned by the tool that started the job.")]
