"""The reference pages say what the code says, in both directions.

Parts between "begin generated" and "end generated" are made of the code's own tables; the examples beside them are
written by hand and held against the schemas. To renew the generated parts: MUNIMENT_RENEW_SNAPSHOTS=1 pytest
tests/unit/test_docs.py
"""

import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
import typer
from jsonschema import Draft202012Validator

from muniment import bus, errors, logs
from muniment.cli import app
from muniment.errors import MunimentError
from muniment.events import MEANING, Event, EventType
from muniment.indexing.progress import REPORT_SECONDS
from muniment.memory import Record
from muniment.scanning import (
    ALWAYS_EXCLUDED,
    DEFAULT_EXCLUDES,
    FAILURES,
    GENERATED_BEGINNINGS,
    GENERATED_ENDINGS,
    LOCKFILES,
    REASONS,
)
from muniment.settings import Settings
from muniment_api import feed, sse
from muniment_api.gateway.job_tools import JobTools
from muniment_api.gateway.memory_tools import MemoryTools
from muniment_api.gateway.project_tools import ProjectTools
from muniment_api.gateway.search_tools import SearchTools

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
RENEW = "MUNIMENT_RENEW_SNAPSHOTS" in os.environ  # read before the fixtures clear the environment
TOOLS = {tool["name"]: tool for tool in json.loads((Path(__file__).parent / "snapshots/mcp_tools.json").read_text())}
OPENAPI = json.loads((Path(__file__).parent / "snapshots/openapi.json").read_text())
OPERATIONS = {
    f"{method.upper()} {path}": operation
    for path, methods in OPENAPI["paths"].items()
    for method, operation in methods.items()
}
# the list of tools does not say it: agents would carry it in their context
ANSWERS = {
    name: get_args(get_type_hints(tool, include_extras=True)["return"])[1]
    for family in (JobTools, MemoryTools, ProjectTools, SearchTools)
    for name, tool in vars(family).items()
    if name in TOOLS
}
SECTION = re.compile(r"<!-- begin generated: (.+?) -->\n(.*?)<!-- end generated -->", re.DOTALL)
BLOCK = re.compile(r"^```(\w+)(?: (\w+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINES = "application/x-ndjson"
NOT_SETTINGS = {"MUNIMENT_SOURCES", "MUNIMENT_SOURCES_GID", "MUNIMENT_RENEW_SNAPSHOTS"}  # of compose and the tests


def subclasses(kind: type[MunimentError]) -> Iterator[type[MunimentError]]:
    for child in kind.__subclasses__():
        yield child
        yield from subclasses(child)


ERRORS = sorted(
    {kind for kind in subclasses(MunimentError) if kind.__module__.startswith(f"{errors.__name__}.")},
    key=lambda e: e.code,
)
ERROR_MODULES = sorted({kind.__module__.rpartition(".")[2] for kind in ERRORS})


def commands(group: Any, name: str = "muniment") -> Iterator[tuple[str, Any]]:
    for part, command in group.commands.items():
        yield f"{name} {part}", command
        if hasattr(command, "commands"):
            yield from commands(command, f"{name} {part}")


COMMANDS = dict(commands(typer.main.get_command(app)))


# --- the generated parts ----------------------------------------------------------------------------------------


def table(*rows: tuple[object, ...]) -> str:
    """The first row holds the headings."""
    lines = ["| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]]) + "\n"


def code(text: object) -> str:
    return f"`{text}`"


def settings() -> str:
    rows = [
        (code(name), code(f"MUNIMENT_{name.upper()}"), kind_of(field.annotation), default_of(field), field.description)
        for name, field in Settings.model_fields.items()
    ]
    return table(("name", "variable", "type", "default", "meaning"), *rows)


def kind_of(annotation: Any) -> str:
    if get_origin(annotation) in (Union, UnionType):
        (annotation,) = set(get_args(annotation)) - {type(None)}
    if get_origin(annotation) is list:
        return f"list of {kind_of(get_args(annotation)[0])}s"
    return {str: "text", int: "integer", float: "number", Path: "path", bool: "true or false"}[annotation]


def default_of(field: Any) -> str:
    value = field.get_default(call_default_factory=True)
    if value is None or value == []:
        return "unset" if value is None else "none"
    shown = ":".join(map(str, value)) if isinstance(value, list) else str(value)
    return code(shown.replace(str(Path.home()), "~"))


def events() -> str:
    unkept = {EventType.INDEX_PROGRESS, EventType.RESYNC}
    rows = [(code(kind.value), "no" if kind in unkept else "yes", meaning) for kind, meaning in MEANING.items()]
    return table(("type", "replayed", "meaning"), *rows)


def limits() -> str:
    return table(
        ("what", "value"),
        ("Events kept for all", f"about {bus.STREAM_LENGTH:,}"),
        ("Events replayed at most, before a `resync` instead", f"{bus.REPLAY_LIMIT:,}"),
        ("A job's own events are kept for", f"{bus.JOB_EVENTS_SECONDS // 86_400} days"),
        ("Least time between two `index_progress` of a phase", f"{REPORT_SECONDS} s"),
        ("Events that wait for one slow reader, before a `resync` instead", f"{feed.QUEUE_LENGTH}"),
        ("A reader that takes nothing is disconnected after", f"{sse.SEND_SECONDS:.0f} s"),
        ("A comment keeps the connection alive every", f"{sse.KEEPALIVE_SECONDS} s"),
        ("Browsers are told to reconnect after", f"{sse.RETRY_MILLISECONDS} ms"),
    )


def reasons() -> str:
    rows = [(code(reason), "failure" if reason in FAILURES else "skip", why) for reason, why in REASONS.items()]
    return table(("reason", "counts as", "meaning"), *rows)


def excludes() -> str:
    rows = [(group, ", ".join(map(code, globs))) for group, globs in DEFAULT_EXCLUDES.items()]
    always = ("always, no rule brings them back", ", ".join(code(f"{name}/") for name in sorted(ALWAYS_EXCLUDED)))
    return table(("group", "left out"), always, *rows)


def machine_made() -> str:
    generated = [f"*{ending}" for ending in GENERATED_ENDINGS] + [f"{name}*" for name in GENERATED_BEGINNINGS]
    rows = [(code(reason), ", ".join(map(code, sorted(names)))) for reason, names in
            (("lockfile", LOCKFILES), ("generated", generated))]  # fmt: skip
    return table(("reason", "names, upper or lower case"), *rows)


def error_table(module: str) -> str:
    rows = [
        (
            code(kind.code),
            kind.http_status,
            "yes" if kind.retryable else "no",
            fields(kind.message),
            fields(kind.remedy),
        )
        for kind in ERRORS
        if kind.__module__.endswith(f".{module}")
    ]
    return table(("code", "HTTP", "retryable", "message", "remedy"), *rows)


def log_fields() -> str:
    rows = [(code(name), "always", meaning) for name, meaning in logs.ALWAYS.items()]
    rows += [(code(name), "when known", meaning) for name, meaning in logs.WHEN_KNOWN.items()]
    return table(("field", "there", "meaning"), *rows)


def fields(template: str) -> str:
    """A template with the bare names of its fields, safe as Markdown."""
    return re.sub(r"\{(\w+)[^}]*\}", r"{\1}", template).replace("<", "&lt;").replace(">", "&gt;")


def routes() -> str:
    rows = [
        (code(name), operation["summary"], ", ".join(status for status in operation["responses"] if status[0] == "2"))
        for name, operation in sorted(OPERATIONS.items(), key=lambda item: item[0].split()[::-1])
    ]
    return table(("route", "what it does", "answers"), *rows)


def tool(name: str) -> str:
    found = TOOLS[name]
    properties = found["inputSchema"]["properties"]
    required = found["inputSchema"].get("required", [])
    definitions = found["inputSchema"].get("$defs", {})
    rows = [
        (
            code(key),
            schema_kind(one, definitions),
            "required" if key in required else shown_default(one),
            one.get("description", ""),
        )
        for key, one in properties.items()
    ]
    hints = found["annotations"]
    effect = "reads" if hints["readOnlyHint"] else "deletes" if hints["destructiveHint"] else "adds or changes"
    answers = ", ".join(map(code, ANSWERS[name].model_json_schema(mode="serialization")["properties"]))
    parameters = table(("parameter", "type", "default", "meaning"), *rows) if rows else "No parameters.\n"
    return f"{found['description']}\n\n{parameters}\nEffect: {effect}. Structured answer: {answers}.\n"


def schema_kind(schema: dict[str, Any], definitions: dict[str, Any]) -> str:
    if "$ref" in schema:
        return " or ".join(map(code, definitions[schema["$ref"].rpartition("/")[2]]["enum"]))
    if "enum" in schema:
        return " or ".join(map(code, schema["enum"]))
    if "anyOf" in schema:
        kinds = [schema_kind(one, definitions) for one in schema["anyOf"]]
        return " or ".join(kind for kind in kinds if kind != "null")
    if schema["type"] == "array":
        return f"list of {schema_kind(schema['items'], definitions)}s"
    return str(schema["type"])


def shown_default(schema: dict[str, Any]) -> str:
    default = schema.get("default")
    return "" if default in (None, "") else code(json.dumps(default))


def command(name: str) -> str:
    found = COMMANDS[name]
    arguments = [one for one in found.params if one.param_type_name == "argument"]
    options = [one for one in found.params if one.param_type_name == "option"]
    usage = " ".join(part for part in (name, "[OPTIONS]", *(argument_usage(one) for one in arguments)) if part)
    if hasattr(found, "commands"):
        usage = f"{name} COMMAND"
    rows = [(code(one.metavar or one.name.upper()), "", one.help or "") for one in arguments]
    rows += [(option_names(one), option_default(one), one.help or "") for one in options]
    parameters = table(("argument or option", "default", "meaning"), *rows) if rows else ""
    return f"{found.help}\n\n```text\n{usage}\n```\n" + (f"\n{parameters}" if parameters else "")


def argument_usage(argument: Any) -> str:
    name = argument.metavar or argument.name.upper()
    many = "..." if argument.nargs == -1 else ""
    return f"{name}{many}" if argument.required else f"[{name}{many}]"


def option_names(option: Any) -> str:
    value = "" if option.is_flag else f" {option.metavar or option.name.upper()}"
    return ", ".join(code(f"{name}{value}") for name in (*option.opts, *option.secondary_opts))


def option_default(option: Any) -> str:
    plain = option.show_default and option.default not in (None, False, (), [])
    return code(option.default) if plain else ""


SECTIONS: dict[str, dict[str, Callable[[], str]]] = {
    "settings.md": {"settings": settings},
    "events.md": {"events": events, "limits": limits},
    "skips.md": {"reasons": reasons, "excludes": excludes, "machine made": machine_made},
    "rest.md": {"routes": routes},
    "errors.md": {f"errors {name}": lambda name=name: error_table(name) for name in ERROR_MODULES},  # type: ignore[misc]
    "operation.md": {"log fields": log_fields},
    "mcp-tools.md": {f"tool {name}": lambda name=name: tool(name) for name in TOOLS},  # type: ignore[misc]
    "cli.md": {f"command {name}": lambda name=name: command(name) for name in COMMANDS},  # type: ignore[misc]
}


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)


@pytest.mark.parametrize("page", SECTIONS)
def test_a_page_has_every_generated_part_and_each_is_current(page: str) -> None:
    wanted = {name: render() for name, render in SECTIONS[page].items()}
    path = DOCS / page
    if RENEW:
        path.write_text(SECTION.sub(lambda found: renewed(found, wanted), path.read_text()), encoding="utf-8")
    text = path.read_text(encoding="utf-8")
    assert sorted(found[1] for found in SECTION.finditer(text)) == sorted(wanted)
    assert dict(SECTION.findall(text)) == wanted, "renew it with MUNIMENT_RENEW_SNAPSHOTS=1"


def renewed(found: re.Match[str], wanted: dict[str, str]) -> str:
    name = found[1]
    return f"<!-- begin generated: {name} -->\n{wanted.get(name, found[2])}<!-- end generated -->"


# --- the examples -----------------------------------------------------------------------------------------------


def chapters(page: str, level: str = "##") -> dict[str, str]:
    """What stands under each heading of a level that names something in code quotes."""
    parts = re.split(rf"^{level} `(.+)`$", (DOCS / page).read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def examples(chapter: str, language: str, label: str = "") -> list[str]:
    return [content for found, name, content in BLOCK.findall(chapter) if (found, name) == (language, label)]


def exact(schema: Any, *, complete: bool) -> Any:
    """The schema without room for properties that it does not name; ``complete`` asks for all that it does."""
    if isinstance(schema, list):
        return [exact(one, complete=complete) for one in schema]
    if not isinstance(schema, dict):
        return schema
    narrow = {key: exact(value, complete=complete) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        narrow["additionalProperties"] = False
        if complete:
            narrow["required"] = list(schema["properties"])
    return narrow


def hold(example: str, schema: dict[str, Any], components: dict[str, Any], *, complete: bool) -> None:
    whole = {**schema, "components": components}
    Draft202012Validator(exact(whole, complete=complete)).validate(json.loads(example))


def content(part: dict[str, Any]) -> dict[str, Any]:
    (schema,) = (kind.get("schema", {}) for kind in part["content"].values())
    return dict(schema)


def test_every_route_has_a_chapter_and_no_other() -> None:
    assert set(chapters("rest.md", "###")) == set(OPERATIONS)


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_examples_of_a_route_are_what_it_takes_and_answers(name: str) -> None:
    chapter, operation = chapters("rest.md", "###").get(name, ""), OPERATIONS[name]
    if "requestBody" in operation:
        (request,) = examples(chapter, "json", "request")
        if LINES in operation["requestBody"]["content"]:
            Record.model_validate_json(request)
        else:
            hold(request, content(operation["requestBody"]), OPENAPI["components"], complete=False)
    success = operation["responses"][min(operation["responses"])]
    if "text/event-stream" in success["content"]:
        assert "event: " in examples(chapter, "text")[0]
        return
    (response,) = examples(chapter, "json", "response")
    if LINES in success["content"]:
        Record.model_validate_json(response)
        return
    hold(response, content(success), OPENAPI["components"], complete=True)


def test_the_parameters_of_a_route_are_named_in_its_chapter() -> None:
    found = chapters("rest.md", "###")
    for name, operation in OPERATIONS.items():
        for parameter in operation.get("parameters", []):
            if parameter["in"] != "path":
                assert f"`{parameter['name']}`" in found[name], name


def test_the_error_examples_are_errors_of_ours() -> None:
    known = {kind.code: kind for kind in ERRORS}
    found = examples((DOCS / "rest.md").read_text(), "json", "error")
    assert found
    for example in found:
        body = errors.ErrorBody.model_validate_json(example)
        assert set(json.loads(example)) == set(errors.ErrorBody.model_fields)
        assert body.retryable == known[body.code].retryable


def test_the_example_of_an_event_is_one() -> None:
    (example,) = examples((DOCS / "events.md").read_text(), "json", "event")
    assert json.loads(Event.model_validate_json(example).model_dump_json()) == json.loads(example)


def test_every_tool_has_a_chapter_and_no_other() -> None:
    assert set(chapters("mcp-tools.md")) == set(TOOLS)


@pytest.mark.parametrize("name", TOOLS)
def test_the_example_of_a_tool_is_a_call_that_it_takes(name: str) -> None:
    chapter = chapters("mcp-tools.md").get(name, "")
    (arguments,) = examples(chapter, "json")
    hold(arguments, TOOLS[name]["inputSchema"], {}, complete=False)
    (answer,) = (found for found, _, _ in BLOCK.findall(chapter) if found in ("text", "markdown"))
    assert answer


def test_every_command_has_a_chapter_and_no_other() -> None:
    assert set(chapters("cli.md")) == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_example_of_a_command_begins_with_its_call(name: str) -> None:
    (example,) = examples(chapters("cli.md").get(name, ""), "console")
    called, *printed = example.splitlines()
    assert called.startswith(f"$ {name}")
    assert printed


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_a_page_names_only_settings_that_exist_and_links_only_to_what_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    known = {f"MUNIMENT_{name.upper()}" for name in Settings.model_fields} | NOT_SETTINGS
    assert set(re.findall(r"\bMUNIMENT_[A-Z_]+[A-Z]\b", text)) <= known
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert (page.parent / target).exists(), target


def test_the_example_of_a_log_line_has_the_fields_of_one() -> None:
    (example,) = examples((DOCS / "operation.md").read_text(), "json", "log")
    assert set(logs.ALWAYS) < set(json.loads(example)) <= {*logs.ALWAYS, *logs.WHEN_KNOWN}


def test_every_place_where_an_error_is_defined_has_its_table() -> None:
    assert {"access", "away", "base", "missing", "refused", "stopped"} <= set(ERROR_MODULES)
    rows = re.findall(r"^\| `(\w+)` \| \d{3} \|", (DOCS / "errors.md").read_text(), re.MULTILINE)
    assert sorted(rows) == [kind.code for kind in ERRORS]
