"""The MCP side of the gateway: tools at ``/mcp``, for the handshake and the sessionless protocol alike."""

from importlib.metadata import version

from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette

from muniment_api.deps import Services
from muniment_api.gateway import job_tools, memory_tools, project_tools, search_tools
from muniment_api.gateway.server import GatewayServer

INSTRUCTIONS = """\
Muniment keeps one live index of this team's repositories and one memory that all agents share.

Search first: before you read or grep a repository, ask search_code (words, names or a plain question); before you \
decide something, ask search_memories whether it was decided already. Names of projects: list_projects.

Check coverage: every answer begins with how complete and how fresh the index is. Below 100%, or with changes pending, \
a missing hit proves nothing: call wait_for_index, then ask again. A hit marked stale has changed on disk: read the \
file. Searching works while indexing runs; nothing blocks.

Store what should outlive your session: decisions and their reasons, causes of bugs, conventions, dead ends. One fact \
per memory, understandable without your conversation, tagged, with its source. Delete what has become wrong.

New repository: init_project with its absolute path on the server. Text that is on no disk of the server: \
put_file. Index out of step: start_indexing; index_files rebuilds everything and is seldom needed. All return a job id \
for get_job_status; pause_job and cancel_job stop it, for all who use the project.
"""


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
