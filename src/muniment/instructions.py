"""What agents are taught: by the server when they connect, and by a project's AGENTS.md or CLAUDE.md. One source."""

WHAT = "Muniment keeps one live index of this team's repositories and one memory that all its agents share."

SEARCH = """\
**Search before you read or grep**: search_code takes names, words or a plain question; list_projects names the \
projects. Every answer begins with how complete and fresh the index is. Below 100%, or with changes pending, a missing \
hit proves nothing: call wait_for_index, then ask again. A hit marked stale has changed on disk: read the file. \
Searching works while indexing runs."""

REMEMBER = """\
**Ask the memory** when a task begins, before you decide, and when something looks odd: search_memories with \
mode=probe, then expand_memories for the few that matter."""

DECIDE = """\
**Decide with it**: search_memories for what was decided about the matter and why. If your choice goes against a \
memory, say so and give the reason. Then store the decision you made with its reason, even if nobody asks you to; give \
supersedes=ID when it replaces an earlier one."""

STORE = """\
**Store as you go**, with store_memory, what should outlive your session: decisions and their reasons, causes of bugs, \
conventions, dead ends. One fact each, understandable without your conversation, with tags and source. Not what the \
code or its history says already; no secrets. When it is about code, give path with symbol or lines: once that code \
changes the memory is marked `code changed`. Then read the code and call update_memory, with confirm_code=true if the \
memory still holds. Correct what is wrong with update_memory or delete_memory; what another memory replaces, with \
superseded_by=ID."""

INDEX = """\
**A new repository**: init_project with its absolute path on the server. Text on no disk of the server: put_file. \
Index out of step: start_indexing. These return a job id for get_job_status at once; pause_job and cancel_job act for \
everyone."""

INSTRUCTIONS = "\n\n".join([WHAT, SEARCH, REMEMBER, DECIDE, STORE, INDEX]).replace("**", "") + "\n"


def snippet(project: str | None = None) -> str:
    """Markdown for a repository's AGENTS.md or CLAUDE.md; ``project`` is the repository's name in Muniment."""
    here = f" This repository is its project `{project}`." if project else ""
    items = [f"- {part}" for part in (SEARCH, REMEMBER, DECIDE, STORE)]
    return "\n".join(["## Search and memory: Muniment", "", f"{WHAT}{here} Use its MCP tools:", "", *items]) + "\n"
