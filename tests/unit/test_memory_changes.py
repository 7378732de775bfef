"""Memories that change: batches, updates, tags, successors, and the clean-up of what nobody uses."""

import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest
from memory_projects import ALPHA, BETA

from muniment.errors import DataTooNew, InvalidValue, MemorySuperseded, MunimentError, UnknownMemory
from muniment.memory import Draft, MemoryFilters, MemoryHit, MemoryStore
from muniment.memory.schema import VERSION
from muniment.sqlite import connect, immediate
from muniment.testing import HashedWordsEmbedder, ManualClock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "memories.sqlite"


def contents(hits: list[MemoryHit]) -> list[str]:
    return [hit.content for hit in hits]


# --- batches ----------------------------------------------------------------------------------------------------


def test_a_batch_is_stored_and_each_item_answered_in_its_place(store: MemoryStore) -> None:
    known = store.store(ALPHA, "deploys happen on monday").id
    drafts = [
        Draft(content="tea is at four", tags="kitchen"),
        Draft(content="deploys happen on monday"),
        Draft(content="Tea is at four!"),
    ]
    first, second, third = store.store_batch(ALPHA, drafts)
    assert first.created
    assert (second.created, second.duplicate_of) == (False, known)
    assert (third.created, third.duplicate_of) == (False, first.id)
    assert store.count(ALPHA.id) == 2


def test_of_a_batch_with_a_bad_item_nothing_is_stored_and_the_item_is_named(store: MemoryStore) -> None:
    with pytest.raises(InvalidValue, match=r"memories\[1\].content .*empty"):
        store.store_batch(ALPHA, [Draft(content="fine"), Draft(content="  ")])
    with pytest.raises(InvalidValue, match=r"memories\[0\].tags"):
        store.store_batch(ALPHA, [Draft(content="fine", tags=["t" * 101])])
    with pytest.raises(InvalidValue, match=r"memories\[1\].supersedes .*nobody"):
        store.store_batch(ALPHA, [Draft(content="fine"), Draft(content="good", supersedes="nobody")])
    for drafts in ([], [Draft(content="x")] * 201):
        with pytest.raises(InvalidValue, match="memories"):
            store.store_batch(ALPHA, drafts)
    assert store.count(ALPHA.id) == 0


# --- successors -------------------------------------------------------------------------------------------------


def test_a_superseded_memory_is_kept_but_found_only_when_asked_for(store: MemoryStore) -> None:
    old = store.store(ALPHA, "the timeout is five seconds PAY-1182", "limits")
    new = store.store(ALPHA, "the timeout is ten seconds PAY-1182", "limits", supersedes=old.id)
    assert (new.created, new.supersedes) == (True, old.id)
    for question in ("the timeout is five seconds", "PAY-1182"):
        assert [hit.id for hit in store.search(ALPHA.id, question)] == [new.id]
        everything = store.search(ALPHA.id, question, MemoryFilters(include_superseded=True))
        assert {hit.id: hit.superseded_by for hit in everything} == {old.id: new.id, new.id: None}
    assert store.get(ALPHA.id, old.id).superseded_by == new.id
    assert [(topic.tag, topic.memories) for topic in store.topics([ALPHA.id])] == [("limits", 1)]


def test_superseding_bypasses_the_check_for_duplicates(store: MemoryStore) -> None:
    old = store.store(ALPHA, "the timeout is five seconds")
    new = store.store(ALPHA, "The timeout is five seconds.", supersedes=old.id)
    assert (new.created, new.similar) == (True, [])


def test_what_a_superseded_memory_said_may_be_said_again(store: MemoryStore) -> None:
    old = store.store(ALPHA, "the timeout is five seconds")
    store.store(ALPHA, "no time limit any more", supersedes=old.id)
    assert store.store(ALPHA, "the timeout is five seconds").created


def test_only_a_current_memory_of_the_project_can_be_superseded(store: MemoryStore) -> None:
    old, foreign = store.store(ALPHA, "old"), store.store(BETA, "foreign")
    new = store.store(ALPHA, "new", supersedes=old.id)
    with pytest.raises(MemorySuperseded, match=new.id):
        store.store(ALPHA, "newer", supersedes=old.id)
    with pytest.raises(UnknownMemory):
        store.store(ALPHA, "newer", supersedes=foreign.id)
    assert store.count(ALPHA.id) == 2


def test_deleting_the_successor_brings_back_what_it_had_superseded(store: MemoryStore) -> None:
    old = store.store(ALPHA, "the timeout is five seconds")
    new = store.store(ALPHA, "the timeout is ten seconds", supersedes=old.id)
    store.delete(ALPHA.id, [new.id])
    assert [hit.id for hit in store.search(ALPHA.id, "timeout")] == [old.id]


def test_a_memory_is_superseded_by_one_that_is_there_already(store: MemoryStore, clock: ManualClock) -> None:
    old, new = (store.store(ALPHA, f"the timeout is {number} seconds, they say").id for number in ("five", "ten"))
    stored_at = clock.now
    clock.advance(60)
    told = store.update(ALPHA.id, old, superseded_by=new)
    assert (told.superseded_by, told.updated_at) == (new, stored_at)
    assert [hit.id for hit in store.search(ALPHA.id, "timeout seconds")] == [new]
    assert store.update(ALPHA.id, f" {old} ", superseded_by=f" {new}\n") == told
    told = store.update(ALPHA.id, old, superseded_by="", content="the timeout was five seconds once")
    assert (told.superseded_by, told.updated_at) == (None, clock.now)
    assert {hit.id for hit in store.search(ALPHA.id, "timeout seconds")} == {old, new}


@pytest.mark.parametrize("nobody", ["", " "])
def test_a_memory_whose_successor_was_taken_back_counts_as_changed_and_is_no_victim_of_the_next_clean_up(
    store: MemoryStore, clock: ManualClock, nobody: str
) -> None:
    old, new = (store.store(ALPHA, f"the timeout is {number} seconds, they say").id for number in ("five", "ten"))
    store.update(ALPHA.id, old, superseded_by=new)
    clock.advance(timedelta(days=61).total_seconds())
    told = store.update(ALPHA.id, old, superseded_by=nobody)
    assert (told.superseded_by, told.updated_at) == (None, clock.now)
    clock.advance(1)
    assert store.update(ALPHA.id, old, superseded_by=nobody) == told, "there was nothing to take back any more"
    assert [memory.id for memory in store.prune(ALPHA.id, 60).memories] == [new]
    assert [hit.id for hit in store.search(ALPHA.id, "timeout seconds")] == [old]


def test_a_memory_gets_another_successor_instead_of_the_one_it_has(store: MemoryStore) -> None:
    first, second, third = (store.store(ALPHA, f"one{name} two{name} three{name}").id for name in "abc")
    store.update(ALPHA.id, first, superseded_by=second)
    assert store.update(ALPHA.id, first, superseded_by=third).superseded_by == third
    store.delete(ALPHA.id, [second])
    assert {hit.id for hit in store.search(ALPHA.id, "one")} == {third}
    store.delete(ALPHA.id, [third])
    assert {hit.id for hit in store.search(ALPHA.id, "one")} == {first}


def test_no_memory_is_superseded_by_itself_or_in_a_circle_or_by_one_that_is_not_there(store: MemoryStore) -> None:
    first, second, third = (store.store(ALPHA, f"one{name} two{name} three{name}").id for name in "abc")
    foreign = store.store(BETA, "foreign").id
    store.update(ALPHA.id, first, superseded_by=second)
    store.update(ALPHA.id, second, superseded_by=third)
    with pytest.raises(InvalidValue, match=f"superseded_by is '{first}'.* replaced by"):
        store.update(ALPHA.id, second, superseded_by=first)
    with pytest.raises(InvalidValue, match=f"superseded_by is '{first}'.* replaced by"):
        store.update(ALPHA.id, third, superseded_by=first)
    with pytest.raises(InvalidValue, match="replace itself"):
        store.update(ALPHA.id, third, superseded_by=third, content="lost")
    for nobody in ("nobody", foreign):
        with pytest.raises(UnknownMemory, match=nobody):
            store.update(ALPHA.id, third, superseded_by=nobody)
        with pytest.raises(UnknownMemory, match=nobody):
            store.update(ALPHA.id, nobody, superseded_by=third)
    assert [(hit.id, hit.content) for hit in store.search(ALPHA.id, "one")] == [(third, "onec twoc threec")]


def test_another_gateway_sees_a_memory_superseded(store: MemoryStore, path: Path, clock: ManualClock) -> None:
    other = MemoryStore(path, HashedWordsEmbedder(), clock)
    old = store.store(ALPHA, "the timeout is five seconds")
    assert [hit.id for hit in other.search(ALPHA.id, "timeout")] == [old.id]
    new = store.store(ALPHA, "the timeout is ten seconds", supersedes=old.id)
    assert [hit.id for hit in other.search(ALPHA.id, "timeout")] == [new.id]


# --- updates ----------------------------------------------------------------------------------------------------


def test_an_update_keeps_id_and_date_and_is_found_by_its_new_text(store: MemoryStore, clock: ManualClock) -> None:
    memory = store.store(ALPHA, "tea is served at four", "kitchen", "wiki")
    stored_at = clock.now
    clock.advance(3600)
    changed = store.update(ALPHA.id, memory.id, content=" coffee is served at five ")
    assert changed.content == "coffee is served at five"
    assert (changed.id, changed.created_at, changed.updated_at) == (memory.id, stored_at, clock.now)
    assert (changed.tags, changed.source) == (["kitchen"], "wiki")
    (hit,) = store.search(ALPHA.id, "coffee is served at five")
    assert (hit.score, hit.updated_at) == (1.0, clock.now)
    changed = store.update(ALPHA.id, memory.id, tags=["Drinks"], source="")
    assert (changed.content, changed.tags, changed.source) == ("coffee is served at five", ["drinks"], None)


@pytest.mark.parametrize(
    ("changes", "error", "reason"),
    [
        ({}, InvalidValue, "nothing"),
        ({"content": " "}, InvalidValue, "empty"),
        ({"tags": ["t" * 101]}, InvalidValue, "tags"),
    ],
)
def test_an_update_that_cannot_be_changes_nothing(
    store: MemoryStore, changes: dict[str, str], error: type[MunimentError], reason: str
) -> None:
    memory = store.store(ALPHA, "tea is served at four", "kitchen")
    before = store.get(ALPHA.id, memory.id)
    with pytest.raises(error, match=reason):
        store.update(ALPHA.id, memory.id, **changes)  # type: ignore[arg-type]
    assert store.get(ALPHA.id, memory.id) == before


@pytest.mark.parametrize(
    ("memory_id", "reason"), [("\ud800", "surrogate"), (" ", "empty"), ("m" * 65, "65 characters"), ("\0", "NUL")]
)
def test_what_can_be_no_id_is_refused_by_a_name_that_every_tool_understands(
    store: MemoryStore, memory_id: str, reason: str
) -> None:
    kept = store.store(ALPHA, "tea is served at four").id
    for act in (store.delete, store.get_all):
        with pytest.raises(InvalidValue, match=f"memory ids is .*{reason}"):
            act(ALPHA.id, [kept, memory_id])
    for change in (store.update, store.retag):
        with pytest.raises(InvalidValue, match=f"memory ids is .*{reason}"):
            change(ALPHA.id, memory_id)
    assert store.delete(ALPHA.id, [f" {kept}\n", kept]) == 1


def test_what_is_not_there_cannot_be_changed(store: MemoryStore) -> None:
    foreign = store.store(BETA, "tea is served at four").id
    for memory_id in ("unknown", foreign):
        with pytest.raises(UnknownMemory):
            store.update(ALPHA.id, memory_id, content="new")
        with pytest.raises(UnknownMemory):
            store.retag(ALPHA.id, memory_id, add="new")
    assert store.get(BETA.id, foreign).tags == []


def test_tags_are_added_removed_and_replaced(store: MemoryStore) -> None:
    memory = store.store(ALPHA, "tea is served at four", "kitchen, people")
    assert store.retag(ALPHA.id, memory.id, add="Drinks", remove=["people", "absent"]).tags == ["drinks", "kitchen"]
    assert store.retag(ALPHA.id, memory.id, replace=["Office"]).tags == ["office"]
    assert store.retag(ALPHA.id, memory.id, replace=[]).tags == []
    with pytest.raises(InvalidValue, match="nothing"):
        store.retag(ALPHA.id, memory.id)
    with pytest.raises(InvalidValue, match="alone"):
        store.retag(ALPHA.id, memory.id, add="x", replace="y")


def test_topics_count_tags_over_projects_the_most_used_first(store: MemoryStore) -> None:
    store.store(ALPHA, "red apple", "fruit, red")
    store.store(ALPHA, "green pear", "fruit")
    store.store(BETA, "blue plum", "fruit, blue")
    counted = [(topic.tag, topic.memories) for topic in store.topics([ALPHA.id, BETA.id])]
    assert counted == [("fruit", 3), ("blue", 1), ("red", 1)]
    assert [topic.tag for topic in store.topics([ALPHA.id])] == ["fruit", "red"]


# --- what nobody uses -------------------------------------------------------------------------------------------


def test_what_was_neither_read_nor_changed_is_stale_and_pruned(store: MemoryStore, clock: ManualClock) -> None:
    unused, read, changed = (store.store(ALPHA, text).id for text in ("red apple", "green pear", "blue plum"))
    clock.advance(timedelta(days=61).total_seconds())
    store.count_reads([read])
    store.update(ALPHA.id, changed, tags="kept")
    fresh = store.store(ALPHA, "black cherry").id
    assert [memory.id for memory in store.stale(ALPHA.id, 60).memories] == [unused]
    assert store.count(ALPHA.id) == 4
    assert [memory.id for memory in store.prune(ALPHA.id, 60).memories] == [unused]
    assert {hit.id for hit in store.search(ALPHA.id, "apple pear plum cherry")} == {read, changed, fresh}
    assert store.prune(ALPHA.id, 60).count == 0
    for days in (-1, 40_000):
        with pytest.raises(InvalidValue, match="max_age_days"):
            store.stale(ALPHA.id, days)


def test_a_search_is_no_read_and_writes_nothing(store: MemoryStore, path: Path) -> None:
    memory = store.store(ALPHA, "red apple").id
    with immediate(connect(path)):  # nobody else can write now
        store.search(ALPHA.id, "red apple")
        store.count_reads([memory, memory])
    store.write_reads()
    store.count_reads([memory, "deleted meanwhile"])
    store.write_reads()
    assert [tuple(row) for row in connect(path).execute("SELECT reads FROM reads")] == [(3,)]


def test_reads_are_written_down_when_the_store_closes(path: Path, clock: ManualClock) -> None:
    store = MemoryStore(path, HashedWordsEmbedder(), clock)
    store.count_reads([store.store(ALPHA, "red apple").id])
    store.close()
    assert [tuple(row) for row in connect(path).execute("SELECT reads FROM reads")] == [(1,)]


# --- databases of other versions --------------------------------------------------------------------------------

FIRST_VERSION = """
    CREATE TABLE memories (
        id TEXT PRIMARY KEY, project_id TEXT NOT NULL, project TEXT NOT NULL, source TEXT, created_at TEXT NOT NULL,
        updated_at TEXT NOT NULL, sequence INTEGER NOT NULL, content TEXT NOT NULL, model TEXT NOT NULL,
        vector BLOB NOT NULL
    );
    CREATE INDEX memories_by_change ON memories (project_id, sequence);
    CREATE TABLE tags (
        project_id TEXT NOT NULL, tag TEXT NOT NULL,
        memory_id TEXT NOT NULL REFERENCES memories (id) ON DELETE CASCADE, PRIMARY KEY (project_id, tag, memory_id)
    ) WITHOUT ROWID;
    CREATE INDEX tags_by_memory ON tags (memory_id);
    CREATE TABLE removed (
        project_id TEXT NOT NULL, sequence INTEGER NOT NULL, memory_id TEXT NOT NULL, PRIMARY KEY (project_id, sequence)
    ) WITHOUT ROWID;
    CREATE TABLE removed_projects (project_id TEXT PRIMARY KEY) WITHOUT ROWID;
    CREATE TABLE changes (only_row INTEGER PRIMARY KEY CHECK (only_row = 1), sequence INTEGER);
    INSERT INTO changes VALUES (1, 7);
"""


def test_memories_of_the_first_version_are_all_there_after_the_upgrade(path: Path, clock: ManualClock) -> None:
    vector = HashedWordsEmbedder().embed(["red apple"])[0].tobytes()
    now = clock.now.isoformat()
    first = sqlite3.connect(path)
    first.executescript(FIRST_VERSION)
    row = ("one", ALPHA.id, "alpha", "wiki", now, now, 7, "red apple ORD-1234", HashedWordsEmbedder().name, vector)
    first.execute("INSERT INTO memories VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
    first.execute("INSERT INTO tags VALUES (?, 'fruit', 'one')", (ALPHA.id,))
    first.commit()
    first.close()
    for _ in range(2):
        store = MemoryStore(path, HashedWordsEmbedder(), clock)
        (hit,) = store.search(ALPHA.id, "ORD-1234", MemoryFilters.of("fruit"))
        assert (hit.id, hit.tags, hit.source, hit.created_at) == ("one", ["fruit"], "wiki", clock.now)
        store.close()
    store = MemoryStore(path, HashedWordsEmbedder(), clock)
    assert store.delete(ALPHA.id, ["one"]) == 1
    assert connect(path).execute("SELECT count(*) FROM tags").fetchone()[0] == 0


def test_a_database_of_a_later_version_is_left_alone(path: Path, clock: ManualClock) -> None:
    later = sqlite3.connect(path)
    later.execute(f"PRAGMA user_version={VERSION + 1}")
    later.close()
    with pytest.raises(DataTooNew, match=r"memories.sqlite .*later version"):
        MemoryStore(path, HashedWordsEmbedder(), clock)
