"""What the result of an MCP tool holds."""

from typing import Any

from mcp_types import CallToolResult, TextContent


def text(result: CallToolResult) -> str:
    (block,) = result.content
    assert isinstance(block, TextContent)
    return block.text


def data(result: CallToolResult) -> dict[str, Any]:
    assert not result.is_error, text(result)
    assert isinstance(result.structured_content, dict)
    return result.structured_content


def error(result: CallToolResult) -> dict[str, Any]:
    assert result.is_error
    assert result.structured_content is None, "clients would hold it against the tool's output schema"
    body = (result.meta or {})["muniment/error"]
    assert text(result) == f"{body['code']}: {body['message']} {body['remedy']}"
    return dict(body)
