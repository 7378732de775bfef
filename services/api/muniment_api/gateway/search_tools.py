"""Tools that search files."""

from typing import Annotated

from mcp_types import CallToolResult
from pydantic import Field

from muniment.languages import Kind
from muniment.search import CHARACTERS_A_TOKEN, LEAST_TOKENS, MAX_CONTEXT, MAX_LIMIT, MOST_TOKENS
from muniment_api import search_answers
from muniment_api.deps import Services
from muniment_api.gateway import search_text
from muniment_api.gateway.parameters import Language, OtherProjects, PathGlobs, ProjectName
from muniment_api.gateway.server import READS, GatewayServer, answer
from muniment_api.search_answers import RelatedAnswer, SearchAnswer, SearchRequest

DEFAULT_TOKENS = 6_000

MaxTokens = Annotated[
    int, Field(ge=LEAST_TOKENS, le=MOST_TOKENS, description="Most tokens of the text, at 4 characters each.")
]


class SearchTools:
    def __init__(self, services: Services) -> None:
        self._services = services

    def search_code(
        self,
        project: ProjectName,
        query: Annotated[
            str, Field(description='Names, words, a question, an error, "an exact phrase", or a place: a/b.py:42.')
        ],
        limit: Annotated[int, Field(ge=1, le=MAX_LIMIT, description="Most files.")] = 10,
        path: PathGlobs = None,
        language: Language = None,
        kind: Annotated[Kind | None, Field(description="Only files of this kind.")] = None,
        context: Annotated[int, Field(ge=0, le=MAX_CONTEXT, description="Lines to add around each hit.")] = 0,
        projects: OtherProjects = None,
        max_tokens: MaxTokens = DEFAULT_TOKENS,
    ) -> Annotated[CallToolResult, SearchAnswer]:
        """Search files by words and by meaning: the best place of each file, best first.

        The first line says how complete and fresh the index is. E.g. query="where are sessions expired", path="src/**"
        """
        of = self._services.projects.get(project)
        asked = SearchRequest(
            query=query, limit=limit, path=path, language=language, kind=kind, context=context, projects=projects,
            max_tokens=max_tokens,
        )  # fmt: skip
        found = search_answers.search(self._services, of, asked)
        return answer(*search_text.fitted_search(of.name, found, query, max_tokens * CHARACTERS_A_TOKEN))

    def find_related(
        self,
        project: ProjectName,
        path: Annotated[str, Field(description="Of a file, as in results.")],
        line: Annotated[int | None, Field(ge=1, description="A line of the code that you mean.")] = None,
        symbol: Annotated[str | None, Field(description="Or its name; without either: the whole file.")] = None,
        limit: Annotated[int, Field(ge=1, le=MAX_LIMIT, description="Most files.")] = 10,
        max_tokens: MaxTokens = DEFAULT_TOKENS,
    ) -> Annotated[CallToolResult, RelatedAnswer]:
        """Code that resembles a place you know: variants, callers, tests. E.g. path="src/pay.py", line=42"""
        of = self._services.projects.get(project)
        found = search_answers.related(
            self._services, of, path, line=line, symbol=symbol, limit=limit, max_tokens=max_tokens
        )
        return answer(*search_text.fitted_related(of.name, found, symbol or "", max_tokens * CHARACTERS_A_TOKEN))


def register(mcp: GatewayServer, services: Services) -> None:
    tools = SearchTools(services)
    mcp.offer(tools.search_code, READS)
    mcp.offer(tools.find_related, READS)
