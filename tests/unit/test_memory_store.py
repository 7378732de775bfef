import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, timedelta, timezone
from pathlib import Path
from threading import Barrier

import pytest
from memory_projects import ALPHA, BETA

from muniment.embedding import Vectors
from muniment.errors import InvalidValue, UnknownMemory
from muniment.memory import MemoryFilters, MemoryHit, MemoryStore
from muniment.sqlite import connect, immediate
from muniment.testing import HashedWordsEmbedder, ManualClock

clock = ManualClock()


class ReadsTheBeginning(HashedWordsEmbedder):
    """As real models do: nothing after the first words counts."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        return super().embed([" ".join(text.split()[:100]) for text in texts])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "memories.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[MemoryStore]:
    store = MemoryStore(path, HashedWordsEmbedder(), clock)
    yield store
    store.close()


@pytest.fixture
def other(path: Path) -> Iterator[MemoryStore]:
    """A second gateway over the same memories."""
    other = MemoryStore(path, HashedWordsEmbedder(), clock)
    yield other
    other.close()


def contents(hits: list[MemoryHit]) -> list[str]:
    return [hit.content for hit in hits]


def test_a_stored_memory_is_found_with_everything_that_was_said(store: MemoryStore) -> None:
    stored = store.store(ALPHA, "  checkout charges twice\n", " Billing, bug,billing,, ", source=" docs/a.md ")
    (hit,) = store.search(ALPHA.id, "checkout charges twice")
    assert stored.created
    assert (stored.duplicate_of, stored.similar, stored.message) == (None, [], None)
    assert hit.model_dump() == {
        "id": stored.id,
        "project": "alpha",
        "project_id": ALPHA.id,
        "content": "checkout charges twice",
        "tags": ["billing", "bug"],
        "source": "docs/a.md",
        "created_at": clock.now,
        "updated_at": clock.now,
        "superseded_by": None,
        "anchor": None,
        "code": None,
        "score": 1.0,
    }
    assert hit.created_at.utcoffset() == timedelta(0)
    assert store.get(ALPHA.id, stored.id).model_dump() == hit.model_dump(exclude={"score"})


def test_times_are_kept_in_utc_whatever_the_clock_says(path: Path) -> None:
    local = ManualClock(clock.now.astimezone(timezone(timedelta(hours=9))))
    store = MemoryStore(path, HashedWordsEmbedder(), local)
    made = store.get(ALPHA.id, store.store(ALPHA, "tea at four").id)
    assert made.created_at == clock.now
    assert made.created_at.tzinfo == UTC or made.created_at.utcoffset() == timedelta(0)


def test_the_nearest_memory_comes_first_and_the_limit_holds(store: MemoryStore) -> None:
    for text in ["red green blue", "red green white black", "red up down left right", "nothing of that"]:
        store.store(ALPHA, text)
    hits = store.search(ALPHA.id, "red green blue", limit=3)
    assert contents(hits) == ["red green blue", "red green white black", "red up down left right"]
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_scores_lie_between_0_and_1_and_min_score_filters_by_them(store: MemoryStore) -> None:
    for text in ["one two three", "four five six", "seven eight nine", "ten eleven twelve"]:
        store.store(ALPHA, text)
    hits = store.search(ALPHA.id, "one two three")
    assert len(hits) == 4
    assert all(0.0 <= hit.score <= 1.0 for hit in hits)
    assert contents(store.search(ALPHA.id, "one two three", min_score=0.9)) == ["one two three"]


def test_filters_apply_before_the_ranking(store: MemoryStore) -> None:
    for number in range(150):
        store.store(ALPHA, f"retry policy {number} a{number} b{number} c{number}", ["noise"])
    store.store(ALPHA, "tea is served at four", "kitchen, People")
    store.store(ALPHA, "coffee runs out on fridays", "kitchen")
    found = store.search(ALPHA.id, "retry policy", MemoryFilters.of(["PEOPLE ", "absent"]))
    assert contents(found) == ["tea is served at four"]
    assert len(store.search(ALPHA.id, "retry policy", MemoryFilters.of("kitchen"))) == 2
    assert store.search(ALPHA.id, "retry policy", MemoryFilters.of("absent")) == []


def test_projects_keep_their_memories_apart_unless_asked_together(store: MemoryStore) -> None:
    assert store.store(ALPHA, "deploy on monday").created
    assert store.store(BETA, "deploy on monday").created
    store.store(BETA, "deploy on a very quiet sunday evening")
    assert [hit.project for hit in store.search(ALPHA.id, "deploy on monday")] == ["alpha"]
    together = store.search([ALPHA.id, BETA.id, ALPHA.id], "deploy on monday")
    assert sorted(hit.project for hit in together[:2]) == ["alpha", "beta"]
    assert together[2].content == "deploy on a very quiet sunday evening"
    assert (store.count(ALPHA.id), store.count(BETA.id), store.count("none-222222")) == (1, 2, 0)
    assert store.search([], "deploy") == []


# --- duplicates -------------------------------------------------------------------------------------------------

NINETEEN = " ".join(f"word{number}" for number in range(19))


def test_a_near_duplicate_is_not_stored_and_names_the_one_that_is(store: MemoryStore) -> None:
    first = store.store(ALPHA, NINETEEN)
    again = store.store(ALPHA, NINETEEN.upper() + "!")
    assert (again.created, again.id, again.duplicate_of) == (False, first.id, first.id)
    assert again.message is not None
    assert first.id in again.message
    assert store.count(ALPHA.id) == 1


def test_a_similar_memory_is_stored_with_a_hint(store: MemoryStore) -> None:
    first = store.store(ALPHA, NINETEEN)
    second = store.store(ALPHA, NINETEEN + " and two more")
    assert second.created
    assert [similar.id for similar in second.similar] == [first.id]
    assert 0.80 <= second.similar[0].score <= 0.95
    assert second.message is not None
    assert f"replaces with superseded_by={second.id}, delete those that are wrong" in second.message
    assert store.count(ALPHA.id) == 2


def test_an_unlike_memory_is_stored_without_a_hint(store: MemoryStore) -> None:
    store.store(ALPHA, NINETEEN)
    second = store.store(ALPHA, " ".join(NINETEEN.split()[:8]) + " and then something else altogether")
    assert (second.created, second.similar) == (True, [])


def test_a_long_text_that_differs_only_where_the_model_does_not_read_is_stored(path: Path) -> None:
    store = MemoryStore(path, ReadsTheBeginning(), clock)
    beginning = " ".join(f"word{number}" for number in range(150))
    first = store.store(ALPHA, beginning)
    second = store.store(ALPHA, beginning + " " + " ".join(f"ending{number}" for number in range(50)))
    assert second.created
    assert [similar.id for similar in second.similar] == [first.id]
    assert not store.store(ALPHA, beginning).created


def test_two_gateways_that_store_the_same_at_once_store_it_once(store: MemoryStore, other: MemoryStore) -> None:
    for attempt in range(10):
        barrier = Barrier(8)

        def put(gateway: MemoryStore, barrier: Barrier = barrier, attempt: int = attempt) -> tuple[bool, str]:
            barrier.wait(5)
            stored = gateway.store(ALPHA, f"decision{attempt} means this{attempt} or that{attempt}")
            return stored.created, stored.id

        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(put, [store, other] * 4))
        assert [created for created, _ in answers].count(True) == 1
        assert len({memory_id for _, memory_id in answers}) == 1
        assert store.count(ALPHA.id) == other.count(ALPHA.id) == attempt + 1


# --- several processes ------------------------------------------------------------------------------------------


def test_what_another_gateway_stores_and_deletes_is_seen_at_once(store: MemoryStore, other: MemoryStore) -> None:
    for text in ["alpha one", "beta two", "gamma three", "delta four"]:
        store.store(ALPHA, text)
    hits = other.search(ALPHA.id, "beta two")
    assert len(hits) == 4
    assert store.delete(ALPHA.id, [hits[0].id]) == 1
    assert "beta two" not in contents(other.search(ALPHA.id, "beta two"))
    assert contents(other.search(ALPHA.id, "delta four", limit=1)) == ["delta four"]
    assert other.store(ALPHA, "beta two").created
    assert contents(store.search(ALPHA.id, "beta two", limit=1)) == ["beta two"]


def test_only_what_changed_is_read_again(store: MemoryStore, other: MemoryStore, path: Path) -> None:
    store.store(ALPHA, "alpha one")
    other.search(ALPHA.id, "alpha one")
    damage = connect(path)
    damage.execute("UPDATE memories SET vector = zeroblob(1024)")
    other.store(ALPHA, "beta two")
    assert other.search(ALPHA.id, "alpha one")[0].score == 1.0


def test_of_removals_the_latest_are_kept_and_who_missed_the_others_reads_anew(
    store: MemoryStore, other: MemoryStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("muniment.memory.rows.TOMBSTONES", 3)
    ids = [store.store(ALPHA, f"one{number} two{number} three{number}").id for number in range(8)]
    store.store(BETA, "tea at four")
    assert len(other.search(ALPHA.id, "one1 two1 three1", limit=9)) == 8
    for memory_id in ids[:6]:
        store.delete(ALPHA.id, [memory_id])
    kept = [tuple(row) for row in connect(path).execute("SELECT project_id, number FROM removed ORDER BY sequence")]
    assert kept == [(ALPHA.id, 0), *((ALPHA.id, number) for number in (4, 5, 6))]
    # to whom a removal is unknown, what was removed would still be the nearest: then nothing could be stored
    assert other.store(ALPHA, "one1 two1 three1").created
    assert [hit.content for hit in other.search(ALPHA.id, "one7", limit=1)] == ["one7 two7 three7"]
    assert len(store.search(ALPHA.id, "one1 two1 three1", limit=9)) == 3
    store.prune(ALPHA.id, 0)
    assert connect(path).execute("SELECT count(*) FROM removed").fetchone()[0] <= 4


def test_who_is_a_few_removals_behind_reads_nothing_twice(
    store: MemoryStore, other: MemoryStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("muniment.memory.rows.TOMBSTONES", 3)
    ids = [store.store(ALPHA, f"one{number} two{number} three{number}").id for number in range(8)]
    for memory_id in ids[:5]:
        store.delete(ALPHA.id, [memory_id])
    assert len(other.search(ALPHA.id, "one7 two7 three7")) == 3
    connect(path).execute("UPDATE memories SET vector = zeroblob(1024)")
    for memory_id in ids[5:7]:
        store.delete(ALPHA.id, [memory_id])
    assert [hit.score for hit in other.search(ALPHA.id, "one7 two7 three7")] == [1.0]


def test_a_search_does_not_wait_for_a_writer(store: MemoryStore, path: Path) -> None:
    store.store(ALPHA, "deploy on monday")
    with ThreadPoolExecutor(2) as pool, immediate(connect(path)):
        waiting = pool.submit(store.store, ALPHA, "tea at four")
        assert contents(pool.submit(store.search, ALPHA.id, "monday").result(5)) == ["deploy on monday"]
        assert not waiting.done()


def test_an_acknowledged_memory_survives_a_kill(path: Path) -> None:
    script = (
        "import sys, pathlib; from muniment.testing import *; from muniment.memory import *\n"
        "from muniment.project import Project\n"
        "store = MemoryStore(pathlib.Path(sys.argv[1]), HashedWordsEmbedder(), ManualClock())\n"
        "print(store.store(Project.model_validate_json(sys.argv[2]), 'never lose this').id, flush=True)\n"
        "sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", script, str(path), ALPHA.model_dump_json()]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        memory_id = process.stdout.readline().strip()
        os.kill(process.pid, signal.SIGKILL)
    assert MemoryStore(path, HashedWordsEmbedder(), clock).get(ALPHA.id, memory_id).content == "never lose this"


# --- models -----------------------------------------------------------------------------------------------------


def test_another_model_embeds_anew_what_was_stored_before(store: MemoryStore, path: Path) -> None:
    texts = [f"subject{number} verb{number} object{number}" for number in range(70)]
    for text in texts:
        store.store(ALPHA, text)
    newer = HashedWordsEmbedder(dimensions=96, name="newer")
    upgraded = MemoryStore(path, newer, clock)
    assert not upgraded.store(ALPHA, texts[7]).created
    assert all(upgraded.search(ALPHA.id, text, limit=1)[0].score == 1.0 for text in texts)
    assert sum(len(call) for call in newer.calls) == 1 + 70 + 70


def test_a_model_change_by_another_gateway_is_noticed(store: MemoryStore, path: Path) -> None:
    store.store(ALPHA, "deploy on monday")
    store.search(ALPHA.id, "monday")
    MemoryStore(path, HashedWordsEmbedder(dimensions=96, name="newer"), clock).search(ALPHA.id, "monday")
    assert store.search(ALPHA.id, "deploy on monday")[0].score == 1.0


# --- deleting and refusing --------------------------------------------------------------------------------------


def test_several_are_deleted_at_once_or_on_an_error_none(store: MemoryStore, path: Path) -> None:
    one, two, three = (store.store(ALPHA, text, "tag").id for text in ("red apple", "green pear", "blue plum"))
    foreign = store.store(BETA, "red apple").id
    with pytest.raises(UnknownMemory, match=f"'unknown, {foreign}'"):
        store.delete(ALPHA.id, [one, "unknown", foreign, two])
    assert store.count(ALPHA.id) == 3
    assert store.delete(ALPHA.id, [one, one, two]) == 2
    assert [hit.id for hit in store.search(ALPHA.id, "red apple", MemoryFilters.of("tag"))] == [three]
    assert store.get(BETA.id, foreign)
    assert connect(path).execute("SELECT count(*) FROM tags").fetchone()[0] == 1


def test_deleting_nothing_is_an_error(store: MemoryStore) -> None:
    foreign = store.store(BETA, "red apple").id
    with pytest.raises(UnknownMemory, match=foreign):
        store.delete(ALPHA.id, [foreign])
    with pytest.raises(InvalidValue):
        store.delete(ALPHA.id, [])


def test_a_memory_of_another_project_is_unknown(store: MemoryStore) -> None:
    foreign = store.store(BETA, "red apple").id
    with pytest.raises(UnknownMemory):
        store.get(ALPHA.id, foreign)


@pytest.mark.parametrize(
    ("content", "tags", "reason"),
    [
        (" \n", [], "content .* empty"),
        ("x" * 20_001, [], "content .* 20,001 characters, more than 20,000"),
        ("half \ud800", [], "content .* surrogate"),
        ("fine", ["t" * 101], "tags .* 101 characters"),
        ("fine", [str(number) for number in range(51)], "at most 50"),
    ],
)
def test_what_cannot_be_a_memory_is_refused(store: MemoryStore, content: str, tags: list[str], reason: str) -> None:
    with pytest.raises(InvalidValue, match=f"(?s){reason}"):
        store.store(ALPHA, content, tags)
    assert store.count(ALPHA.id) == 0


def test_the_longest_content_is_stored_whole(store: MemoryStore) -> None:
    stored = store.store(ALPHA, "x" * 20_000, source="  ")
    memory = store.get(ALPHA.id, stored.id)
    assert (len(memory.content), memory.source) == (20_000, None)


def test_a_search_that_cannot_be_is_refused(store: MemoryStore) -> None:
    with pytest.raises(InvalidValue, match="query"):
        store.search(ALPHA.id, " ")
    for limit in (0, 101):
        with pytest.raises(InvalidValue, match="limit"):
            store.search(ALPHA.id, "tea", limit=limit)
    for score in (-0.1, 1.1):
        with pytest.raises(InvalidValue, match="min_score"):
            store.search(ALPHA.id, "tea", min_score=score)
