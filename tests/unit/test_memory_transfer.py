"""Exports and imports: what is written comes back as it was, however often."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from memory_projects import ALPHA, BETA

from muniment.errors import InvalidValue, UnknownProject
from muniment.memory import Anchor, Memory, MemoryFilters, MemoryStore, export_line, read_lines
from muniment.memory.leaving import export_removed
from muniment.testing import ManualClock


def filled(store: MemoryStore, clock: ManualClock) -> list[str]:
    old = store.store(ALPHA, "the timeout is five seconds", "limits, net", "wiki")
    clock.advance(90)
    store.store(ALPHA, "the timeout is ten seconds", supersedes=old.id, anchor=Anchor(path="a.py", hash="00"))
    clock.advance(0.5)
    store.store(ALPHA, "tea\nis at four ☕")
    return [export_line(memory) for memory in store.export(ALPHA.id)]


def kept(memories: Iterator[Memory]) -> list[dict[str, object]]:
    return [memory.model_dump(exclude={"project", "project_id"}) for memory in memories]


def test_what_is_exported_is_imported_elsewhere_with_ids_and_dates(
    store: MemoryStore, other: MemoryStore, clock: ManualClock
) -> None:
    lines = filled(store, clock)
    clock.advance(10_000)
    assert other.take_in(ALPHA, list(read_lines(lines))).model_dump() == {
        "added": 3, "updated": 0, "unchanged": 0, "dry_run": False
    }  # fmt: skip
    assert kept(other.export(ALPHA.id)) == kept(store.export(ALPHA.id))
    assert [hit.content for hit in other.search(ALPHA.id, "timeout seconds", limit=1)] == ["the timeout is ten seconds"]
    assert other.search(ALPHA.id, "tea is at four", limit=1)[0].score == pytest.approx(0.89, abs=0.15)


def test_importing_again_changes_nothing_and_a_dry_run_never_does(
    store: MemoryStore, other: MemoryStore, clock: ManualClock
) -> None:
    records = list(read_lines(filled(store, clock)))
    assert other.take_in(ALPHA, records, dry_run=True).added == 3
    assert other.count(ALPHA.id) == 0
    other.take_in(ALPHA, records)
    assert (again := other.take_in(ALPHA, records)).unchanged == 3
    assert (again.added, again.updated) == (0, 0)
    assert store.take_in(ALPHA, records).unchanged == 3


def test_the_later_state_of_a_memory_wins(store: MemoryStore, other: MemoryStore, clock: ManualClock) -> None:
    records = list(read_lines(filled(store, clock)))
    other.take_in(ALPHA, records)
    clock.advance(60)
    other.update(ALPHA.id, records[2].id, content="tea is at five", tags="late")
    assert other.take_in(ALPHA, records).unchanged == 3
    back = [export_line(memory) for memory in other.export(ALPHA.id)]
    assert store.take_in(ALPHA, list(read_lines(back))).updated == 1
    assert store.get(ALPHA.id, records[2].id).content == "tea is at five"
    assert store.search(ALPHA.id, "tea is at five", MemoryFilters.of("late"))[0].score == 1.0


def test_memories_copied_to_another_project_of_one_server_get_ids_of_their_own(
    store: MemoryStore, clock: ManualClock
) -> None:
    records = list(read_lines(filled(store, clock)))
    assert store.take_in(BETA, records).added == 3
    assert store.take_in(BETA, records).unchanged == 3
    alphas, betas = list(store.export(ALPHA.id)), list(store.export(BETA.id))
    assert not {memory.id for memory in alphas} & {memory.id for memory in betas}
    assert betas[0].superseded_by == betas[1].id
    assert store.delete(BETA.id, [betas[2].id]) == 1
    assert store.count(ALPHA.id) == 3


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{half", "line 2.*JSON"),
        ("[1, 2]", "line 2"),
        (json.dumps({"id": "x", "content": "y", "created_at": "2026-01-01", "updated_at": "soon"}), "updated_at"),
        (
            json.dumps({"id": "x", "content": " ", "created_at": "2026-01-01", "updated_at": "2026-01-01"}),
            "line 2: content",
        ),
    ],
)
def test_a_line_that_is_no_memory_is_named_by_its_number(line: str, reason: str) -> None:
    good = json.dumps({"id": "x", "content": "y", "created_at": "2026-01-01", "updated_at": "2026-01-01"})
    assert [record.content for record in read_lines([good, "", "\n"])] == ["y"]
    with pytest.raises(InvalidValue, match=f"(?s){reason}"):
        list(read_lines([good, line]))


@pytest.mark.parametrize(
    ("anchor", "reason"),
    [
        ({"path": "../../etc/passwd"}, "line 1: anchor path is"),
        ({"path": "/etc/passwd"}, "line 1: anchor path is"),
        ({"path": "a\0b"}, "line 1: anchor path is"),
        ({"path": "a.py", "start_line": 3}, "line 1: anchor lines is"),
        ({"path": "a.py", "start_line": 0, "end_line": 3}, "line 1: anchor lines is"),
        ({"path": "a.py", "start_line": 9, "end_line": 3}, "line 1: anchor lines is"),
        ({"path": "a.py", "symbol": "s" * 1_001}, "line 1: anchor symbol is"),
        ({"path": "a.py", "hash": "h" * 65}, "line 1: anchor hash is"),
    ],
)
def test_an_anchor_that_cannot_be_is_refused(anchor: dict[str, object], reason: str) -> None:
    at = "2025-01-01T00:00:00+00:00"
    record = {"id": "m1", "content": "x", "created_at": at, "updated_at": at, "anchor": {"hash": "00", **anchor}}
    with pytest.raises(InvalidValue, match=reason):
        list(read_lines([json.dumps(record)]))


@pytest.mark.parametrize("at", ["9999-12-31T23:59:59-10:00", "0001-01-01T00:00:00+10:00"])
def test_a_moment_at_the_end_of_time_is_refused(at: str) -> None:
    record = {"id": "m1", "content": "x", "created_at": "2025-01-01T00:00:00Z", "updated_at": at}
    with pytest.raises(InvalidValue, match="line 1: updated_at is"):
        list(read_lines([json.dumps(record)]))


@pytest.mark.parametrize("field", ["id", "superseded_by"])
@pytest.mark.parametrize("given", ["notes/7", "/", ".", "..", "export", "a\nb", "a\x1bb", "a\u200bb"])
def test_an_id_that_cannot_stand_in_an_address_is_refused_with_its_line(field: str, given: str) -> None:
    at = "2025-01-01T00:00:00+00:00"
    record = {"id": "m1", "content": "x", "created_at": at, "updated_at": at, field: given}
    reason = re.escape(f"line 2: {field} is {given!r}: it cannot stand in an address")
    with pytest.raises(InvalidValue, match=reason):
        list(read_lines(["", json.dumps(record)]))


def test_the_id_of_a_successor_is_as_long_as_any() -> None:
    at = "2025-01-01T00:00:00+00:00"
    record = {"id": "m1", "content": "x", "created_at": at, "updated_at": at, "superseded_by": "s" * 65}
    with pytest.raises(InvalidValue, match="line 1: superseded_by is"):
        list(read_lines([json.dumps(record)]))


def test_nothing_is_imported_into_a_project_that_was_removed(
    tmp_path: Path, store: MemoryStore, clock: ManualClock
) -> None:
    records = list(read_lines(filled(store, clock)))
    left = tmp_path / "left.jsonl"
    assert export_removed(tmp_path / "memories.sqlite", ALPHA.id, left) == 3
    with pytest.raises(UnknownProject):
        store.take_in(ALPHA, records)
    assert store.take_in(BETA, list(read_lines(left.open()))).added == 3
    assert kept(store.export(BETA.id))[2]["content"] == "tea\nis at four ☕"


def test_an_export_of_many_comes_in_pages_without_gaps(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("muniment.memory.store.EXPORT_PAGE", 3)
    for number in range(9):
        store.store(ALPHA, f"one{number} two{number} three{number}")
    assert [memory.content[3] for memory in store.export(ALPHA.id)] == list("012345678")
