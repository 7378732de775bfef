"""The MCP side of the gateway: tools at ``/mcp``, for the handshake and the sessionless protocol alike."""

from importlib.metadata import version

from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette

from muniment.instructions import INSTRUCTIONS
from muniment_api.deps import Services
from muniment_api.gateway import job_tools, memory_tools, project_tools, search_tools
from muniment_api.gateway.server import GatewayServer


def build_mcp(services: Services) -> GatewayServer:
    """The MCP server with every tool."""
    mcp = GatewayServer(
        services,
        name="muniment",
        title="Muniment",
        version=version("muniment"),
        instructions=INSTRUCTIONS,
        log_level="WARNING",  # of the root logger, where nobody has configured it
    )
    for family in (project_tools, search_tools, job_tools, memory_tools):
        family.register(mcp, services)
    return mcp


def mount_mcp(app: Starlette, services: Services) -> GatewayServer:
    """Serves MCP at ``/mcp`` of the app. Call it after all routes; the app's lifespan must run the session manager:
    ``async with mcp.session_manager.run(): yield``.

    Stateless also for the handshake protocol: a client's next request may meet another gateway, or this one restarted.
    Answers stay streams, because as plain JSON they would lose progress.
    """
    mcp = build_mcp(services)
    sub_app = mcp.streamable_http_app(
        streamable_http_path="/mcp",
        stateless_http=True,
        # Host and Origin are checked for every route before this app; a second opinion would only differ in corners
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
    )
    # the route itself, no mount at "/": that would swallow the app's own answers to unknown paths and wrong methods
    app.routes.extend(sub_app.routes)
    return mcp
