"""`muniment memory`, `export`, `import` and `instructions` as typed, against a real gateway in memory."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from command_line import Muniment
from fastapi.testclient import TestClient

from muniment.cli import client
from muniment.cli.client import Gateway
from muniment.errors import ServerUnavailable, UnexpectedAnswer
from muniment.instructions import INSTRUCTIONS
from muniment.settings import Settings

MEMORIES = "/api/v1/projects/alpha/memories"
FACT = "The ledger is append only because auditors ask for it"


@pytest.fixture(autouse=True)
def folder(api: TestClient, gateway_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of projects alpha and beta; the terminal is wide."""
    monkeypatch.setenv("COLUMNS", "120")
    folder = gateway_settings.roots[0]
    for name in ("alpha", "beta"):
        api.post("/api/v1/projects", json={"name": name, "watch_paths": [str(folder)]})
    return folder


def store(api: TestClient, content: str, project: str = "alpha", **more: object) -> str:
    answer = api.post(f"/api/v1/projects/{project}/memories", json={"content": content, **more})
    return str(answer.json()["id"])


# --- storing ----------------------------------------------------------------------------------------------------


def test_a_memory_is_stored_with_all_that_was_said_of_it(muniment: Muniment, api: TestClient, folder: Path) -> None:
    (folder / "a.py").write_text("def put():\n    pass\n")
    old = store(api, "the ledger is a table")
    ran = muniment(
        "memory", "store", "alpha", FACT, "--tag", "Audit", "--tag", "db", "--source", "adr/7",
        "--supersedes", old, "--path", "a.py", "--symbol", "put",
    )  # fmt: skip
    (item,) = api.get(MEMORIES).json()["items"]
    assert ran == (0, f"Stored as {item['id']}, in place of {old}.\n", "")
    assert (item["content"], item["tags"], item["source"]) == (FACT, ["audit", "db"], "adr/7")
    assert (item["anchor"]["path"], item["anchor"]["symbol"]) == ("a.py", "put")


def test_a_text_may_come_from_standard_input(
    muniment: Muniment, api: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("two\nlines\n"))
    stored = json.loads(muniment("memory", "store", "alpha", "-", "--json").out)
    assert stored["created"]
    assert api.get(MEMORIES).json()["items"][0]["content"] == "two\nlines"


def test_a_duplicate_is_told_and_is_no_error(muniment: Muniment, api: TestClient) -> None:
    known = store(api, FACT)
    ran = muniment("memory", "store", "alpha", FACT)
    assert ran.code == 0
    assert ran.out.startswith(f"Not stored: memory {known} says nearly the same")


def test_a_refusal_is_an_error_with_its_remedy(muniment: Muniment) -> None:
    ran = muniment("memory", "store", "alpha", "x", "--lines", "1-2")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("error: path is None: lines and symbol need the file that they are in.")


# --- finding ----------------------------------------------------------------------------------------------------


def test_found_memories_are_shown_with_score_date_tags_and_source(muniment: Muniment, api: TestClient) -> None:
    memory_id = store(api, FACT, tags="audit", source="adr/7")
    (item,) = api.get(MEMORIES, params={"q": "ledger"}).json()["items"]
    heading, content = muniment("memory", "search", "alpha", "ledger").out.splitlines()
    assert heading == f"{memory_id}  {item['score']:.2f}  {item['created_at'][:10]}  audit  adr/7"
    assert content == f"  {FACT}"
    assert muniment("memory", "search", "alpha", "ledger", "--min-score", "0.99") == (0, "No memories found.\n", "")


def test_every_filter_reaches_the_gateway(muniment: Muniment, api: TestClient) -> None:
    old = store(api, FACT, tags="a", source="adr/7")
    new = store(api, "The ledger is append only by law", tags="a", supersedes=old)
    there = store(api, "The ledger of beta", "beta", tags="b")

    def found(*arguments: str) -> set[str]:
        out = muniment("memory", "search", "alpha", "ledger", "--json", *arguments).out
        return {item["id"] for item in json.loads(out)["items"]}

    assert found() == {new}
    assert found("--superseded") == {old, new}
    assert found("--superseded", "--source", "adr") == {old}
    assert found("--project", "beta") == found("--project", "*") == {new, there}
    assert found("--project", "beta", "--tag", "b", "--tag", "c") == {there}
    assert found("--project", "beta", "--limit", "1") < {new, there}
    assert found("--before", "2001-01-01") == found("--after", "2999-01-01") == set()
    shown = muniment("memory", "search", "alpha", "ledger", "--project", "beta", "--tag", "b").out
    assert shown.splitlines()[0].split()[2] == "beta"


def test_without_a_question_the_latest_are_listed_page_by_page(muniment: Muniment, api: TestClient) -> None:
    assert muniment("memory", "search", "alpha") == (0, "No memories.\n", "")
    first, second = store(api, "one thing"), store(api, "another matter")
    page = muniment("memory", "search", "alpha", "--limit", "1")
    assert page.out.startswith(second)
    assert page.err.startswith("There are more: --cursor ")
    cursor = page.err.split()[-1].strip("'")
    assert muniment("memory", "search", "alpha", "--limit", "1", "--cursor", cursor).out.startswith(first)


def test_long_memories_are_cut_in_a_search_and_whole_when_shown(muniment: Muniment, api: TestClient) -> None:
    long = " ".join(f"word{number}" for number in range(100))
    memory_id = store(api, long)
    assert "…" in muniment("memory", "search", "alpha", "word7").out
    shown = muniment("memory", "show", "alpha", memory_id)
    assert shown.code == 0
    assert " ".join(shown.out.split()[2:]) == long
    assert max(map(len, shown.out.splitlines())) <= 120
    assert json.loads(muniment("memory", "show", "alpha", memory_id, "--json").out)["content"] == long
    unknown = muniment("memory", "show", "alpha", "no/body")
    assert (unknown.code, unknown.out) == (1, "")


def test_what_would_steer_a_terminal_is_not_printed(muniment: Muniment, api: TestClient) -> None:
    store(api, "red \x1b[31m alert", tags="\x1b]0;x\x07", source="\x1b[2J")
    assert "\x1b" not in muniment("memory", "search", "alpha", "alert").out
    assert "\x1b" not in muniment("memory", "topics", "alpha").out
    assert "\x1b" not in muniment("memory", "prune", "alpha", "--max-age-days", "0").out


def test_topics_are_a_table(muniment: Muniment, api: TestClient) -> None:
    assert muniment("memory", "topics", "alpha") == (0, "No tags yet.\n", "")
    store(api, "one thing", tags="a,b")
    store(api, "of elsewhere", "beta", tags="b")
    rows = [line.split() for line in muniment("memory", "topics", "alpha", "--project", "beta").out.splitlines()]
    assert rows[0] == ["TOPIC", "MEMORIES", "CHANGED"]
    assert [row[:2] for row in rows[1:]] == [["b", "2"], ["a", "1"]]
    assert json.loads(muniment("memory", "topics", "alpha", "--json").out)["items"][0]["tag"] == "a"


# --- changing ---------------------------------------------------------------------------------------------------


def test_a_memory_is_changed_and_tagged(muniment: Muniment, api: TestClient, folder: Path) -> None:
    (folder / "a.py").write_text("one\ntwo\n")
    memory_id = store(api, FACT, tags="a", source="adr/7")
    changed = muniment(
        "memory", "update", "alpha", memory_id, "--content", "The ledger is gone", "--source", "", "--tag", "b",
        "--path", "a.py", "--lines", "2",
    )  # fmt: skip
    assert changed.code == 0
    assert "  about a.py:2-2\n  The ledger is gone\n" in changed.out
    (folder / "a.py").write_text("one\n2\n")
    assert "  code changed a.py:2-2\n" in muniment("memory", "show", "alpha", memory_id).out
    confirmed = json.loads(muniment("memory", "update", "alpha", memory_id, "--confirm-code", "--json").out)
    assert (confirmed["code"], confirmed["source"], confirmed["tags"]) == ("same", None, ["b"])
    muniment("memory", "tag", "alpha", memory_id, "--add", "C", "--add", "d", "--remove", "b")
    assert api.get(f"{MEMORIES}/{memory_id}").json()["tags"] == ["c", "d"]
    assert json.loads(muniment("memory", "tag", "alpha", memory_id, "--set", "", "--json").out)["tags"] == []
    nothing = muniment("memory", "update", "alpha", memory_id)
    assert (nothing.code, nothing.out) == (1, "")


def test_memories_are_deleted_after_a_question(
    muniment: Muniment, api: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = store(api, FACT), store(api, "tea is at four")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"n\n")))
    kept = muniment("memory", "delete", "alpha", first)
    assert kept.code == 1
    assert FACT in kept.err
    assert "Delete for good? [y/N]:" in kept.err
    ran = muniment("memory", "delete", "alpha", first, second, "--yes")
    assert ran == (0, f"Deleted {first}.\nDeleted {second}.\n", "")
    assert api.get(MEMORIES).json()["items"] == []
    again = muniment("memory", "delete", "alpha", first, "-y")
    assert (again.code, again.out) == (1, "")


def test_of_several_memories_none_is_deleted_when_one_is_not_there(muniment: Muniment, api: TestClient) -> None:
    first, second = store(api, FACT), store(api, "tea is at four")
    refused = muniment("memory", "delete", "alpha", first, "nobody", second, "--yes")
    assert (refused.code, refused.out) == (1, "")
    assert "No memory with id 'nobody' in project 'alpha'." in refused.err
    assert len(api.get(MEMORIES).json()["items"]) == 2
    assert json.loads(muniment("memory", "delete", "alpha", first, second, first, "-y", "--json").out) == {"deleted": 2}


def test_a_memory_is_superseded_by_one_that_is_there(muniment: Muniment, api: TestClient) -> None:
    old, new = store(api, FACT), store(api, "tea is at four")
    ran = muniment("memory", "update", "alpha", old, "--superseded-by", new)
    assert ran.code == 0
    assert f"superseded by {new}" in ran.out
    assert [item["id"] for item in api.get(MEMORIES).json()["items"]] == [new]
    again = json.loads(muniment("memory", "update", "alpha", old, "--superseded-by", "", "--json").out)
    assert again["superseded_by"] is None


def test_unused_memories_are_listed_and_deleted_when_told(
    muniment: Muniment, api: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert muniment("memory", "prune", "alpha") == (0, "Unused: no memories.\n", "")
    memory_id = store(api, FACT)
    monkeypatch.setenv("COLUMNS", "60")
    row, last = muniment("memory", "prune", "alpha", "--max-age-days", "0").out.splitlines()
    assert row.startswith(f"{memory_id}  last used 2")
    assert row.endswith("…")
    assert len(row) == 60
    assert last == "Unused: 1 memory; --delete deletes them."
    deleted = muniment("memory", "prune", "alpha", "--max-age-days", "0", "--delete")
    assert deleted.out.endswith("Deleted 1 memory.\n")
    assert json.loads(muniment("memory", "prune", "alpha", "--json").out)["count"] == 0


# --- moving -----------------------------------------------------------------------------------------------------


def test_memories_are_exported_to_a_file_and_imported_from_it(
    muniment: Muniment, api: TestClient, tmp_path: Path
) -> None:
    store(api, FACT)
    store(api, "tea is at four", tags="kitchen")
    file = str(tmp_path / "memories.jsonl")
    assert muniment("export", "alpha", file) == (0, f"Exported 2 memories to {file}.\n", "")
    assert list(tmp_path.glob(".*")) == []
    dry = muniment("import", "beta", file, "--dry-run")
    assert dry.out == "Nothing stored (dry run); there would be 2 added, 0 updated, 0 unchanged.\n"
    assert muniment("import", "beta", file).out == "Imported: 2 added, 0 updated, 0 unchanged.\n"
    again = json.loads(muniment("import", "beta", file, "--json").out)
    assert (again["added"], again["unchanged"]) == (0, 2)


def test_standard_output_and_input_move_memories_too(
    muniment: Muniment, api: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(api, FACT)
    out = muniment("export", "alpha").out
    assert out == api.get(f"{MEMORIES}/export").text
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(out.encode())))
    assert muniment("import", "beta", "-").out == "Imported: 1 added, 0 updated, 0 unchanged.\n"


def test_a_bad_line_of_an_import_is_named(muniment: Muniment, tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text("\n{}\n")
    ran = muniment("import", "alpha", str(tmp_path / "bad.jsonl"))
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("error: line 2 is ")
    missing = muniment("import", "alpha", str(tmp_path / "none.jsonl"))
    assert "cannot be read: No such file or directory" in missing.err


def test_an_export_that_breaks_off_leaves_what_was_there(
    muniment: Muniment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaking(*_: object) -> Iterator[bytes]:
        yield b'{"id": "half'
        raise UnexpectedAnswer("http://localhost", "its answer broke off")

    monkeypatch.setattr(Gateway, "pieces", breaking)
    file = tmp_path / "memories.jsonl"
    file.write_text("of yesterday\n")
    ran = muniment("export", "alpha", str(file))
    assert (ran.code, ran.out) == (1, "")
    assert file.read_text() == "of yesterday\n"
    assert [one.name for one in tmp_path.iterdir() if "jsonl" in one.name] == ["memories.jsonl"]


def test_a_file_that_cannot_be_written_is_named(muniment: Muniment, tmp_path: Path) -> None:
    for place in (tmp_path / "no" / "folder.jsonl", tmp_path):
        ran = muniment("export", "alpha", str(place))
        assert (ran.code, ran.out) == (1, "")
        assert ran.err.startswith(f"error: The file '{place}' cannot be written: ")


class Torn(httpx.SyncByteStream):
    """``pieces`` of an answer, then a lost connection."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        yield from self._pieces
        raise httpx.RemoteProtocolError("peer closed connection")


def test_an_answer_that_breaks_off_is_no_answer() -> None:
    def gateway(*pieces: bytes) -> Gateway:
        transport = httpx.MockTransport(lambda _: httpx.Response(200, stream=Torn(*pieces)))
        return client.Gateway("http://localhost", None, transport)

    with pytest.raises(UnexpectedAnswer, match="broke off"):
        list(gateway(b"half").pieces("/x"))
    with pytest.raises(ServerUnavailable):
        list(gateway().pieces("/x"))


def test_the_instructions_are_those_of_the_server(muniment: Muniment) -> None:
    plain = muniment("instructions").out
    assert plain.startswith("## Search and memory: Muniment\n")
    told = plain.replace("**", "")
    assert all(line in told for line in INSTRUCTIONS.split("\n\n")[:-1])
    assert "project `shop`" in muniment("instructions", "shop").out
    assert muniment("instructions", "a shop").code == 1
