"""Tools that search files."""

from typing import Annotated

from mcp_types import CallToolResult
from pydantic import Field

from muniment.languages import Kind
from muniment.search import MAX_LIMIT
from muniment_api import answers
from muniment_api.answers import SearchAnswer
from muniment_api.deps import Services
from muniment_api.gateway import text
from muniment_api.gateway.parameters import Language, PathGlob, ProjectName
from muniment_api.gateway.server import READS, GatewayServer, answer


class SearchTools:
    def __init__(self, services: Services) -> None:
        self._services = services

    def search_code(
        self,
        project: ProjectName,
        query: Annotated[str, Field(description="Identifiers, words, or a question in plain language.")],
        limit: Annotated[int, Field(ge=1, le=MAX_LIMIT, description="Most files in the answer.")] = 10,
        path: PathGlob = None,
        language: Language = None,
        kind: Annotated[Kind | None, Field(description="Only files of this kind.")] = None,
    ) -> Annotated[CallToolResult, SearchAnswer]:
        """Search a project's files by words and by meaning: the best place of each file, best first.

        The first line says how complete and fresh the index is.
        """
        of = self._services.projects.get(project)
        found = answers.search(self._services, of, query, limit=limit, path=path, language=language, kind=kind)
        return answer(text.search_text(of.name, found), found)


def register(mcp: GatewayServer, services: Services) -> None:
    mcp.offer(SearchTools(services).search_code, READS)
