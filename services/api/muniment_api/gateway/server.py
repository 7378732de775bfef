"""The SDK's server with our errors: every failure leaves as code, message and remedy, as over REST. Its resources come
from our stores, and their announcements from our events."""

import inspect
import logging
from collections.abc import Callable, Iterable
from typing import Any

from anyio import to_thread
from mcp import MCPError
from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import (
    MCPServerError,
    ResourceError,
    ToolError,
    UnexpectedResourceError,
    UnexpectedToolError,
)
from mcp.server.mcpserver.utilities.func_metadata import FuncMetadata
from mcp_types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    CallToolResult,
    InputRequiredResult,
    Resource,
    SubscriptionsListenRequestParams,
    TextContent,
    Tool,
    ToolAnnotations,
)
from pydantic import AnyUrl, BaseModel, ValidationError

from muniment import logs
from muniment.errors import ErrorBody, InternalError, InvalidValue, MunimentError
from muniment.redis_client import REDIS_ERRORS
from muniment_api.deps import Services
from muniment_api.errors import invalid_value
from muniment_api.gateway.announcements import Announcements
from muniment_api.gateway.resources import JOB_URI, JSON, PROJECT_URI, Resources
from muniment_api.gateway.tool_schemas import squeezed

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


class TextAsItIs(FuncMetadata):
    """The SDK takes a text for the JSON that it may be, unless nothing but a text is allowed: ``null``, ``[1]`` and
    ``{"retries": 3}`` are texts as well."""

    def pre_parse_json(self, data: dict[str, Any]) -> dict[str, Any]:
        texts = {name for name, field in self.arg_model.model_fields.items() if field.annotation == str | None}
        return super().pre_parse_json(data) | {name: value for name, value in data.items() if name in texts}


class GatewayServer(MCPServer[dict[str, Any]]):
    def __init__(self, services: Services, **options: Any) -> None:
        announcements = Announcements()
        super().__init__(subscriptions=announcements, **options)
        # the SDK's own handler of these would keep the streams to itself: they could not be ended
        listened = "subscriptions/listen"
        self._lowlevel_server.add_request_handler(listened, SubscriptionsListenRequestParams, announcements.streams)
        services.feed.call(announcements.hear)
        self._announcements = announcements
        self._services = services
        self._resources = Resources(services)
        for uri, name, read in (
            (PROJECT_URI, "project", self._resources.project),
            (JOB_URI, "job", self._resources.job),
        ):
            self.resource(uri, name=name, description=inspect.getdoc(read), mime_type=JSON)(read)

    def end_streams(self) -> None:
        """Ends the streams of clients that listen, each with its last word."""
        self._announcements.streams.close()

    def offer(self, function: Callable[..., Any], annotations: ToolAnnotations) -> None:
        """Adds a tool: its name, parameters and description are those of the function.

        Without a schema of its answers: it would be four fifths of the list, and each answer be checked against it.
        """
        described = inspect.getdoc(function)
        self.add_tool(function, description=described, annotations=annotations, structured_output=False)
        tool = self._tool_manager.get_tool(function.__name__)
        assert tool is not None
        tool.fn_metadata = TextAsItIs(**dict(tool.fn_metadata))

    async def list_tools(self) -> list[Tool]:
        """Unlike the SDK's own: with small schemas."""
        listed = await super().list_tools()
        return [tool.model_copy(update={"input_schema": squeezed(tool.input_schema)}) for tool in listed]

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[dict[str, Any], Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        """Unlike the SDK's own: every failure is a result with our error, and no argument is silently ignored."""
        project = arguments.get("project")
        logs.note(tool=name, project=project if isinstance(project, str) else None)
        known = self._tool_input_schema(name)
        if known is not None and (strange := sorted(set(arguments) - set(known["properties"]))):
            takes = ", ".join(known["properties"]) or "no arguments"
            return failure(InvalidValue("argument", ", ".join(strange), f"{name} takes {takes}").body())
        try:
            return await super().call_tool(name, arguments, context)
        except ToolError as error:
            return failure(self._ours(error, InvalidValue("tool", name, "no such tool; tools/list names all")).body())

    async def list_resources(self) -> list[Resource]:
        try:
            return await to_thread.run_sync(self._resources.listed)
        except REDIS_ERRORS as error:
            raise _refusal(self._services.connections.unavailable(error)) from error

    async def read_resource(
        self, uri: AnyUrl | str, context: Context[dict[str, Any], Any] | None = None
    ) -> Iterable[ReadResourceContents] | InputRequiredResult:
        """Unlike the SDK's own: every failure is our error."""
        try:
            return await super().read_resource(uri, context)
        except ResourceError as error:
            unknown = InvalidValue("uri", str(uri), "no such resource; resources/templates/list names all kinds")
            raise _refusal(self._ours(error, unknown)) from error

    def _ours(self, error: MCPServerError, unknown: MunimentError) -> MunimentError:
        """What the SDK wrapped, as an error of ours; ``unknown`` when it knows nothing of that name."""
        cause = error.__cause__
        if isinstance(cause, MunimentError):
            return cause
        if isinstance(cause, REDIS_ERRORS):
            return self._services.connections.unavailable(cause)
        if isinstance(error, UnexpectedToolError | UnexpectedResourceError):
            logger.error("%s", error, exc_info=cause)
            return InternalError("an unexpected error, which is in the log")
        if isinstance(cause, ValidationError):
            first = cause.errors(include_url=False)[0]
            return invalid_value({**first, "loc": ("body", *first["loc"])})
        return unknown


def _refusal(error: MunimentError) -> MCPError:
    """For requests whose answer has no place for an error."""
    body = error.body()
    code = INVALID_PARAMS if error.http_status < 500 else INTERNAL_ERROR
    return MCPError(code, f"{body.code}: {body.message} {body.remedy}", {ERROR_META: body.model_dump(mode="json")})
