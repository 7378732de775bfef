"""The SDK's server with our errors: every failure leaves as code, message and remedy, as over REST."""

import inspect
import logging
from collections.abc import Callable
from typing import Any

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError, UnexpectedToolError
from mcp_types import CallToolResult, InputRequiredResult, TextContent, ToolAnnotations
from pydantic import BaseModel, ValidationError

from muniment.errors import ErrorBody, InternalError, InvalidValue, MunimentError
from muniment.redis_client import REDIS_ERRORS
from muniment_api.deps import Services
from muniment_api.errors import invalid_value

logger = logging.getLogger(__name__)

ERROR_META = "muniment/error"  # key of the error in the result's _meta

READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
ADDS = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
DELETES = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False)


def answer(text: str, model: BaseModel) -> CallToolResult:
    """For clients that show text and for those that read the structure: both say the same."""
    return CallToolResult(
        content=[TextContent(type="text", text=text)], structured_content=model.model_dump(mode="json")
    )


def failure(body: ErrorBody) -> CallToolResult:
    # Not as structured content: clients hold that against the tool's output schema, and then show their own complaint.
    return CallToolResult(
        content=[TextContent(type="text", text=f"{body.code}: {body.message} {body.remedy}")],
        is_error=True,
        _meta={ERROR_META: body.model_dump(mode="json")},
    )


class GatewayServer(MCPServer[dict[str, Any]]):
    def __init__(self, services: Services, **options: Any) -> None:
        super().__init__(**options)
        self._services = services

    def offer(self, function: Callable[..., Any], annotations: ToolAnnotations) -> None:
        """Adds a tool: its name, parameters and description are those of the function."""
        self.add_tool(function, description=inspect.getdoc(function), annotations=annotations)

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[dict[str, Any], Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        """Unlike the SDK's own: every failure is a result with our error, and no argument is silently ignored."""
        known = self._tool_input_schema(name)
        if known is not None and (strange := sorted(set(arguments) - set(known["properties"]))):
            takes = ", ".join(known["properties"]) or "no arguments"
            return failure(InvalidValue("argument", ", ".join(strange), f"{name} takes {takes}").body())
        try:
            return await super().call_tool(name, arguments, context)
        except ToolError as error:
            return failure(self._body(name, error))

    def _body(self, name: str, error: ToolError) -> ErrorBody:
        cause = error.__cause__
        if isinstance(cause, MunimentError):
            return cause.body()
        if isinstance(cause, REDIS_ERRORS):
            return self._services.connections.unavailable(cause).body()
        if isinstance(error, UnexpectedToolError):
            logger.error("%s failed", name, exc_info=cause)
            return InternalError("an unexpected error, which is in the log").body()
        if isinstance(cause, ValidationError):
            first = cause.errors(include_url=False)[0]
            return invalid_value({**first, "loc": ("body", *first["loc"])}).body()
        return InvalidValue("tool", name, "no such tool; tools/list names all").body()
