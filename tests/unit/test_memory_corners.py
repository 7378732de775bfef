"""Memories where two things meet: successors and imports, projects and deletions, readers and writers."""

import json
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from memory_projects import ALPHA, BETA

from muniment.embedding import Vectors
from muniment.errors import InvalidValue, UnknownMemory
from muniment.memory import Anchor, CodeState, Draft, MemoryStore, export_line, read_lines
from muniment.memory.anchors import compare, line_digests, make_anchor
from muniment.memory.words import IDENTIFIER, held, lift
from muniment.sqlite import connect
from muniment.testing import HashedWordsEmbedder, ManualClock


def exported(store: MemoryStore) -> list[str]:
    return [export_line(memory) for memory in store.export(ALPHA.id)]


def imported(store: MemoryStore, lines: list[str]) -> tuple[int, int, int]:
    told = store.take_in(ALPHA, list(read_lines(lines)))
    return told.added, told.updated, told.unchanged


def found(store: MemoryStore, question: str = "timeout seconds") -> set[str]:
    return {hit.content for hit in store.search(ALPHA.id, question)}


# --- successors -------------------------------------------------------------------------------------------------


def test_deleting_in_one_project_leaves_the_successors_of_another_alone(store: MemoryStore) -> None:
    old = store.store(ALPHA, "the timeout is five seconds")
    new = store.store(ALPHA, "the timeout is ten seconds", supersedes=old.id)
    own = store.store(BETA, "tea at four")
    assert store.delete(BETA.id, [own.id]) == 1
    with pytest.raises(UnknownMemory):
        store.delete(BETA.id, [new.id])
    assert found(store) == {"the timeout is ten seconds"}


def test_deleting_the_middle_of_a_chain_brings_nothing_back(store: MemoryStore) -> None:
    first = store.store(ALPHA, "the timeout is five seconds")
    second = store.store(ALPHA, "the timeout is ten seconds", supersedes=first.id)
    third = store.store(ALPHA, "the timeout is twenty seconds", supersedes=second.id)
    store.delete(ALPHA.id, [second.id])
    assert found(store) == {"the timeout is twenty seconds"}
    assert store.get(ALPHA.id, first.id).superseded_by == third.id


def test_what_a_batch_supersedes_is_no_reason_to_refuse_another_item_of_it(store: MemoryStore) -> None:
    old = store.store(ALPHA, "the timeout is five seconds")
    drafts = [Draft(content="no limits at all", supersedes=old.id), Draft(content="the timeout is five seconds")]
    assert all(stored.created for stored in store.store_batch(ALPHA, drafts))
    assert "the timeout is five seconds" in found(store)


def test_of_two_items_that_supersede_the_same_the_second_is_named(store: MemoryStore) -> None:
    old = store.store(ALPHA, "the timeout is five seconds").id
    drafts = [Draft(content="it is ten", supersedes=old), Draft(content="or rather twenty", supersedes=old)]
    with pytest.raises(InvalidValue, match=r"memories\[1\].supersedes .*memories\[0\] supersedes it already"):
        store.store_batch(ALPHA, drafts)
    assert store.count(ALPHA.id) == 1


def test_an_unknown_predecessor_in_a_batch_is_told_with_the_projects_name(store: MemoryStore) -> None:
    drafts = [Draft(content="it is ten"), Draft(content="or rather twenty", supersedes="nobody")]
    with pytest.raises(InvalidValue, match=r"memories\[1\].supersedes .*in project 'alpha'"):
        store.store_batch(ALPHA, drafts)


# --- texts that the model does not understand ---------------------------------------------------------------------

SAYS_NOTHING = "เซิร์ฟเวอร์ 🚀"


class Unknowing:
    """Knows ASCII words alone, as the model of memories does of many scripts: all others are one and the same to it."""

    def __init__(self, unknown: str) -> None:
        self._known, self._unknown = HashedWordsEmbedder(), unknown
        self.name, self.source, self.dimensions = self._known.name, self._known.source, self._known.dimensions
        self.batch_texts = 100

    def embed(self, texts: Sequence[str]) -> Vectors:
        return self._known.embed([re.sub(r"[^\x00-\x7f]+", self._unknown, text) for text in texts])


@pytest.mark.parametrize(
    ("first", "second"), [("flags in prod: ✅", "flags in prod: ❌"), ("登录令牌存在 Redis", "购物车数据存在 Redis")]
)
def test_what_differs_in_signs_unknown_to_the_model_is_no_duplicate(tmp_path: Path, first: str, second: str) -> None:
    with closing(MemoryStore(tmp_path / "memories.sqlite", Unknowing("unk"), ManualClock())) as store:
        stored = [store.store(ALPHA, text) for text in (first, second, second)]
        assert [one.created for one in stored] == [True, True, False]
        assert stored[2].duplicate_of == stored[1].id
        assert [one.id for one in stored[1].similar] == [stored[0].id]


def test_the_same_text_is_known_among_many_that_look_alike_to_the_model(tmp_path: Path) -> None:
    with closing(MemoryStore(tmp_path / "memories.sqlite", Unknowing("unk"), ManualClock())) as store:
        alike = [store.store(ALPHA, chr(0x4E00 + number)) for number in range(120)]
        assert all(one.created for one in alike)
        again = [store.store(ALPHA, chr(0x4E00 + number)) for number in range(120)]
    assert [one.duplicate_of for one in again] == [one.id for one in alike]


def test_a_text_without_any_known_word_is_found_by_its_own_and_stored_once(tmp_path: Path) -> None:
    with closing(MemoryStore(tmp_path / "memories.sqlite", Unknowing(" "), ManualClock())) as store:
        assert all(store.store(ALPHA, f"เซิร์ฟ{number}").created for number in range(60))
        first = store.store(ALPHA, SAYS_NOTHING)
        again = store.store(ALPHA, SAYS_NOTHING)
        batch = store.store_batch(ALPHA, [Draft(content="🎉"), Draft(content="🎉")])
        assert (again.created, again.duplicate_of) == (False, first.id)
        assert [one.created for one in batch] == [True, False]
        assert [hit.id for hit in store.search(ALPHA.id, SAYS_NOTHING)] == [first.id]
        assert store.search(ALPHA.id, "🚀🚀") == []
        assert store.search(ALPHA.id, '"') == []


# --- successors that come by an import ----------------------------------------------------------------------------


def test_a_memory_that_is_superseded_elsewhere_later_is_superseded_by_the_next_import(
    store: MemoryStore, other: MemoryStore
) -> None:
    old = store.store(ALPHA, "the timeout is five seconds")
    imported(other, exported(store))
    store.store(ALPHA, "the timeout is ten seconds", supersedes=old.id)
    assert imported(other, exported(store))[0] == 1
    assert found(other) == {"the timeout is ten seconds"}
    assert imported(other, exported(store)) == (0, 0, 2)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_superseded_memory_whose_successor_is_not_there_is_found_until_it_comes(
    store: MemoryStore, other: MemoryStore, order: tuple[int, int]
) -> None:
    old = store.store(ALPHA, "the timeout is five seconds")
    store.store(ALPHA, "the timeout is ten seconds", supersedes=old.id)
    lines = exported(store)
    imported(other, [lines[order[0]]])
    assert len(found(other)) == 1
    imported(other, [lines[order[1]]])
    assert found(other) == {"the timeout is ten seconds"}
    assert imported(other, lines) == (0, 0, 2)


def test_an_export_restores_a_successor_that_was_deleted(store: MemoryStore) -> None:
    old = store.store(ALPHA, "the timeout is five seconds")
    new = store.store(ALPHA, "the timeout is ten seconds", supersedes=old.id)
    lines = exported(store)
    store.delete(ALPHA.id, [new.id])
    assert found(store) == {"the timeout is five seconds"}
    imported(store, lines)
    assert found(store) == {"the timeout is ten seconds"}


def superseded(store: MemoryStore) -> tuple[str, str]:
    old = store.store(ALPHA, "the timeout is five seconds").id
    return old, store.store(ALPHA, "the timeout is ten seconds", supersedes=old).id


def test_importing_an_earlier_export_again_leaves_a_memory_whose_successor_was_taken_back(
    store: MemoryStore, other: MemoryStore, clock: ManualClock
) -> None:
    old, _ = superseded(store)
    lines = exported(store)
    imported(other, lines)
    clock.advance(60)
    for here in (store, other):
        here.update(ALPHA.id, old, superseded_by="")
        assert imported(here, lines) == (0, 0, 2)
        assert found(here) == {"the timeout is five seconds", "the timeout is ten seconds"}


def test_a_text_that_was_changed_here_is_not_hidden_by_an_import_of_the_one_before(
    store: MemoryStore, other: MemoryStore, clock: ManualClock
) -> None:
    old = store.store(ALPHA, "the timeout is five seconds").id
    imported(other, exported(store))
    store.store(ALPHA, "the timeout is ten seconds", supersedes=old)
    clock.advance(60)
    other.update(ALPHA.id, old, content="the timeout is six seconds")
    assert imported(other, exported(store)) == (1, 0, 1)
    assert found(other) == {"the timeout is six seconds", "the timeout is ten seconds"}


@pytest.mark.parametrize("seconds", [0, 60])
def test_a_pair_that_was_reversed_here_stays_so_and_costs_the_next_import_nothing(
    store: MemoryStore, other: MemoryStore, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, seconds: int
) -> None:
    old = store.store(ALPHA, "the timeout is five seconds").id
    new = store.store(ALPHA, "the timeout is ten seconds").id
    imported(other, exported(store))
    store.update(ALPHA.id, old, superseded_by=new)
    clock.advance(seconds)
    if seconds:
        imported(other, exported(store))
        other.update(ALPHA.id, old, superseded_by="")
    other.update(ALPHA.id, new, superseded_by=old)
    embedded: list[str] = []
    monkeypatch.setattr(HashedWordsEmbedder, "embed", lambda _, texts: embedded.extend(texts))
    assert imported(other, exported(store)) == (0, 0, 2)
    monkeypatch.undo()
    assert embedded == []
    assert found(other) == {"the timeout is five seconds"}


def test_who_takes_a_successor_back_overrules_an_import_that_still_waits_for_it(
    store: MemoryStore, other: MemoryStore, clock: ManualClock
) -> None:
    old, _ = superseded(store)
    lines = exported(store)
    imported(other, lines[:1])
    clock.advance(60)
    other.update(ALPHA.id, old, superseded_by="")
    assert imported(other, lines) == (1, 0, 1)
    assert found(other) == {"the timeout is five seconds", "the timeout is ten seconds"}


def test_who_names_another_successor_overrules_an_import_that_still_waits_for_one(
    store: MemoryStore, other: MemoryStore
) -> None:
    old, _ = superseded(store)
    lines = exported(store)
    imported(other, lines[:1])
    own = other.store(ALPHA, "the timeout is twenty seconds").id
    other.update(ALPHA.id, old, superseded_by=own)
    assert imported(other, lines) == (1, 0, 1)
    assert other.get(ALPHA.id, old).superseded_by == own
    other.delete(ALPHA.id, [own])
    assert found(other) == {"the timeout is five seconds", "the timeout is ten seconds"}


def test_a_successor_that_is_taken_back_while_an_import_embeds_stays_taken_back(
    store: MemoryStore, other: MemoryStore, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = superseded(store)
    lines = exported(store)
    imported(other, lines)
    other.delete(ALPHA.id, [new])
    clock.advance(60)
    embed = HashedWordsEmbedder.embed

    def changed_meanwhile(embedder: HashedWordsEmbedder, texts: Sequence[str]) -> Vectors:
        if len(texts) == len(lines):
            own = other.store(ALPHA, "the timeout is twenty seconds").id
            other.update(ALPHA.id, old, superseded_by=own)
            other.update(ALPHA.id, old, superseded_by="")
        return embed(embedder, texts)

    monkeypatch.setattr(HashedWordsEmbedder, "embed", changed_meanwhile)
    imported(other, lines)
    numbers = ("five", "ten", "twenty")
    assert found(other) == {f"the timeout is {number} seconds" for number in numbers}


def test_a_later_text_from_elsewhere_does_not_undo_that_it_was_superseded_here(
    store: MemoryStore, other: MemoryStore, clock: ManualClock
) -> None:
    old = store.store(ALPHA, "the timeout is five seconds")
    imported(other, exported(store))
    clock.advance(60)
    other.update(ALPHA.id, old.id, content="the timeout is six seconds")
    store.store(ALPHA, "the timeout is ten seconds", supersedes=old.id)
    assert imported(store, exported(other)) == (0, 1, 0)
    assert found(store) == {"the timeout is ten seconds"}


def test_memories_that_supersede_each_other_in_a_circle_are_not_all_hidden(store: MemoryStore) -> None:
    stamp = {"created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z"}
    lines = [
        json.dumps({"id": one, "content": f"timeout seconds {one}", "superseded_by": successor, **stamp})
        for one, successor in (("a1", "b2"), ("b2", "c3"), ("c3", "a1"), ("d4", "d4"), ("e5", ""))
    ]
    imported(store, lines)
    assert {f"timeout seconds {one}" for one in ("d4", "e5")} < found(store)
    assert len(found(store)) == 3


def test_a_copy_stays_the_same_copy_when_the_original_is_gone(store: MemoryStore) -> None:
    original = store.store(ALPHA, "the timeout is five seconds")
    records = list(read_lines(exported(store)))
    assert store.take_in(BETA, records).added == 1
    store.delete(ALPHA.id, [original.id])
    assert store.take_in(BETA, records).unchanged == 1
    assert store.count(BETA.id) == 1


@pytest.mark.parametrize(
    "anchor",
    [
        {"path": "/etc/passwd", "hash": "00"},
        {"path": "../secret.txt", "hash": "00"},
        {"path": "a\0b", "hash": "00"},
        {"path": "a.py", "start_line": 3_000_000, "end_line": 1, "hash": "00"},
        {"path": "a.py", "start_line": 0, "end_line": 1, "hash": "00"},
        {"path": "a.py", "start_line": 1, "hash": "00"},
    ],
)
def test_an_anchor_that_leads_elsewhere_is_not_imported(anchor: dict[str, object]) -> None:
    line = {"id": "a", "content": "b", "created_at": "2026-01-01", "updated_at": "2026-01-01", "anchor": anchor}
    with pytest.raises(InvalidValue, match="line 1: anchor"):
        list(read_lines([json.dumps(line)]))


def test_a_date_beyond_the_calendar_is_named_by_its_line() -> None:
    line = {"id": "a", "content": "b", "created_at": "0001-01-01T00:00:00+05:00", "updated_at": "2026-01-01"}
    with pytest.raises(InvalidValue, match="line 1: created_at"):
        list(read_lines([json.dumps(line)]))


# --- finding ----------------------------------------------------------------------------------------------------


def test_a_rare_identifier_counts_beside_a_common_one_and_whatever_other_projects_hold(store: MemoryStore) -> None:
    def noise(number: int) -> str:
        return f"main.py calls step{number} before place{number} when customer{number} pays"

    for start in (0, 150):
        store.store_batch(ALPHA, [Draft(content=noise(number)) for number in range(start, start + 150)])
        store.store_batch(BETA, [Draft(content=f"ORD-4711 {noise(number)}") for number in range(start, start + 150)])
    wanted = store.store(ALPHA, "the customer pays and calls for ORD-4711 at a counter").id
    question = "before the customer pays, which main.py calls ORD-4711"
    assert wanted in [hit.id for hit in store.search(ALPHA.id, question)]


def test_the_ends_of_a_path_of_ten_thousand_folders_are_not_all_written_out() -> None:
    bomb = "a/" * 9_999 + "b"
    assert sum(map(len, held(bomb))) < 2 * len(bomb)  # a hundred million characters, once
    assert lift("see a/a/b.py", bomb + ".py") > IDENTIFIER / 2


# --- anchors ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("symbol", ["", " ", None])
def test_an_anchor_with_an_empty_symbol_can_be_imported_again(
    store: MemoryStore, other: MemoryStore, symbol: str | None
) -> None:
    anchor = make_anchor("a.txt", "one\ntwo\n", (1, 2), symbol)
    assert anchor.symbol is None
    store.store(ALPHA, "both are needed", anchor=anchor.model_copy(update={"symbol": symbol}))
    assert imported(other, exported(store)) == (1, 0, 0)
    (memory,) = other.export(ALPHA.id)
    assert memory.anchor == anchor


def test_a_symbol_that_no_import_would_take_is_refused() -> None:
    with pytest.raises(InvalidValue, match="symbol"):
        make_anchor("a.txt", "one\ntwo\n", (1, 2), "x" * 1_001)


def test_a_hash_that_is_none_is_of_other_code() -> None:
    for text in ("", "no hash", "zz" * 16):
        anchor = Anchor(path="a.txt", start_line=1, end_line=1, hash=text)
        assert compare(anchor, line_digests("one\n"))[0] == CodeState.CHANGED


def test_an_anchor_is_found_among_many_lines_like_its_first() -> None:
    text = "\n" * 5_000 + "\n".join(["", "one", "", "two"]) + "\n"
    anchor = make_anchor("a.txt", text, (5_001, 5_004), None)
    assert compare(anchor, line_digests("# a licence\n" + text))[1].start_line == 5_002
    assert compare(anchor, line_digests(text.replace("two", "three")))[0] == CodeState.CHANGED
    backwards = Anchor(path="a.txt", start_line=9, end_line=1, hash=anchor.hash)
    assert compare(backwards, line_digests(text))[0] == CodeState.CHANGED


# --- questions --------------------------------------------------------------------------------------------------


def test_of_all_that_holds_an_identifier_the_nearest_are_looked_at(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("muniment.memory.finding.NAMED", 3)
    monkeypatch.setattr("muniment.memory.finding.POOL", 1)
    looked_at: list[str] = []
    monkeypatch.setattr("muniment.memory.finding.said", lambda memory: looked_at.append(memory.content) or "")
    both = "ORD-4711 and ORD-4712 " + " ".join(f"refunded{number}" for number in range(30))  # the farthest by meaning
    for project in (ALPHA, BETA):
        for number in range(3 if project == ALPHA else 2):
            store.store(project, f"ORD-4711 shipped {number} of {project.name}")
    store.store(BETA, both)
    store.search([ALPHA.id, BETA.id], "ORD-4711 ORD-4712", limit=1)
    assert both in looked_at
    assert len(looked_at) <= 3  # by identifier; the nearest two are among them


# --- readers and writers ----------------------------------------------------------------------------------------


def test_what_is_being_written_down_as_read_is_not_pruned(
    store: MemoryStore, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, unread = (store.store(ALPHA, text).id for text in ("red apple", "green pear"))
    clock.advance(100 * 86_400)
    store.count_reads([read])
    assert [memory.id for memory in store.prune(ALPHA.id, 60).memories] == [unread]
    monkeypatch.setattr("muniment.memory.store.PRUNED_AT_ONCE", 2)
    monkeypatch.setattr("muniment.memory.store.STALE_SHOWN", 3)
    store.store_batch(ALPHA, [Draft(content=f"one{number} two{number} three{number}") for number in range(7)])
    clock.advance(100 * 86_400)
    assert store.stale(ALPHA.id, 60).count == 8
    pruned = store.prune(ALPHA.id, 60)
    assert (pruned.count, len(pruned.memories), store.count(ALPHA.id)) == (8, 3, 0)


def test_searches_at_once_embed_what_another_model_embedded_only_once(tmp_path: Path, clock: ManualClock) -> None:
    path = tmp_path / "memories.sqlite"
    first = MemoryStore(path, HashedWordsEmbedder(), clock)
    first.store_batch(ALPHA, [Draft(content=f"one{number} two{number} three{number}") for number in range(100)])
    newer = HashedWordsEmbedder(dimensions=96, name="newer")
    store = MemoryStore(path, newer, clock)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: store.search(ALPHA.id, "one7"), range(4)))
    assert sum(len(call) for call in newer.calls) == 100 + 4


def test_nobody_waits_for_who_writes_to_open_the_memories(
    store: MemoryStore, tmp_path: Path, clock: ManualClock
) -> None:
    store.store(ALPHA, "red apple")
    writer = connect(tmp_path / "memories.sqlite")
    writer.execute("BEGIN IMMEDIATE")
    with ThreadPoolExecutor(1) as pool:
        opened = pool.submit(MemoryStore, tmp_path / "memories.sqlite", HashedWordsEmbedder(), clock).result(5)
    assert opened.search(ALPHA.id, "red apple")
    writer.execute("ROLLBACK")


def test_the_words_of_every_memory_are_indexed_whatever_happened_to_it(
    store: MemoryStore, other: MemoryStore, tmp_path: Path, clock: ManualClock
) -> None:
    old = store.store(ALPHA, "the timeout is five seconds", source="wiki")
    store.store(ALPHA, "the timeout is ten seconds", supersedes=old.id)
    imported(other, exported(store))
    clock.advance(60)
    other.update(ALPHA.id, old.id, content="the timeout is six seconds", source="notes")
    imported(store, exported(other))
    store.delete(ALPHA.id, [old.id])
    connect(tmp_path / "memories.sqlite").execute("INSERT INTO words (words, rank) VALUES ('integrity-check', 1)")


@pytest.mark.parametrize("field", ["content", "tags", "source"])
def test_a_nul_is_no_text(store: MemoryStore, field: str) -> None:
    given = {"content": "fine", "tags": "fine", "source": "fine"} | {field: "a\0b"}
    with pytest.raises(InvalidValue, match=f"{field} .*NUL"):
        store.store(ALPHA, **given)
