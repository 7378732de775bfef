from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from memory_projects import ALPHA, BETA

from muniment.errors import InvalidValue
from muniment.memory import MemoryStore
from muniment.memory.filters import MemoryFilters, moment
from muniment.testing import HashedWordsEmbedder, ManualClock

DAY = datetime(2026, 3, 14, 12, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[MemoryStore]:
    """One memory about tea for each of ten days, at noon, from two sources."""
    clock = ManualClock(DAY)
    store = MemoryStore(tmp_path / "memories.sqlite", HashedWordsEmbedder(), clock)
    for day in range(10):
        source = f"docs/{day}.md" if day % 2 else f"agent:{day}"
        store.store(ALPHA, f"day{day} has its own tea{day} with{day} something{day}", source=source)
        clock.advance(timedelta(days=1).total_seconds())
    yield store
    store.close()


def days(store: MemoryStore, **filters: str) -> list[int]:
    question = " ".join(f"day{day}" for day in range(10))
    hits = store.search(ALPHA.id, question, MemoryFilters.of(**filters), limit=50)  # type: ignore[arg-type]
    return sorted(int(hit.content[3]) for hit in hits)


def test_a_date_alone_means_the_whole_day_at_both_ends(store: MemoryStore) -> None:
    assert days(store, after="2026-03-16", before="2026-03-18") == [2, 3, 4]
    assert days(store, before="2026-03-14") == [0]
    assert days(store, after="2026-03-23") == [9]


def test_a_time_is_exact_and_knows_its_zone(store: MemoryStore) -> None:
    assert days(store, before="2026-03-14T11:59:59") == []
    assert days(store, before="2026-03-14T12:00:00Z") == [0]
    assert days(store, before="2026-03-14T12:00:00+02:00") == []
    assert days(store, after="2026-03-23T13:00:00+01:00") == [9]


def test_a_source_is_matched_by_how_it_begins(store: MemoryStore) -> None:
    assert days(store, source="docs/") == [1, 3, 5, 7, 9]
    assert days(store, source="docs/3") == [3]
    assert days(store, source="d%") == days(store, source="DOCS") == []
    assert days(store, source="agent:", after="2026-03-20") == [6, 8]


@pytest.mark.parametrize(
    "given",
    [
        "yesterday",
        "2026-02-30",
        "2026-13-01",
        "14.03.2026",
        "9999999999",
        "20260131",
        "2026-W05",
        "0001-01-01T00:00:00+05:00",
    ],
)
def test_what_is_no_date_is_refused_with_how_to_write_one(given: str) -> None:
    with pytest.raises(InvalidValue, match="2026-01-31"):
        MemoryFilters.of(after=given)
    with pytest.raises(InvalidValue, match="before"):
        MemoryFilters.of(before=given)


def test_what_was_superseded_passes_only_who_asks_for_it_whatever_else_is_asked(tmp_path: Path) -> None:
    clock = ManualClock(DAY)
    store = MemoryStore(tmp_path / "tagged.sqlite", HashedWordsEmbedder(), clock)
    old = store.store(ALPHA, "red apple", "a", "wiki").id
    new = store.store(ALPHA, "green pear", "a,b", "wiki", supersedes=old).id
    store.store(BETA, "blue plum", "a", "wiki")
    for asked in ({}, {"tags": "a"}, {"tags": "a,b"}, {"source": "w"}, {"tags": "a", "after": "2026-03-14"}):
        for hidden in (False, True):
            filters = MemoryFilters.of(**asked, include_superseded=hidden)  # type: ignore[arg-type]
            wanted = [new, old] if hidden else [new]
            assert [one.id for one in store.newest([ALPHA.id], filters)[0]] == wanted
            assert {hit.id for hit in store.search(ALPHA.id, "apple", filters)} == set(wanted)
    store.close()


def test_a_range_that_nothing_can_lie_in_is_refused() -> None:
    with pytest.raises(InvalidValue, match="nothing can match"):
        MemoryFilters.of(after="2026-03-15", before="2026-03-14")
    first, last = MemoryFilters.of(after="2026-03-14", before="2026-03-14").stored
    assert last - first == 24 * 60 * 60 * 1_000_000 - 1


def test_moments_are_told_in_utc() -> None:
    local = datetime(2026, 3, 14, 1, tzinfo=timezone(timedelta(hours=9)))
    assert moment("after", local) == datetime(2026, 3, 13, 16, tzinfo=UTC)
    assert moment("after", datetime(2026, 3, 14)) == datetime(2026, 3, 14, tzinfo=UTC)
    assert moment("after", "") is None
    assert moment("before", "2026-03-14", end_of_day=True) == datetime(2026, 3, 14, 23, 59, 59, 999999, UTC)


@pytest.mark.parametrize(
    "given",
    ["9999-12-31T23:59:59-10:00", "0001-01-01T00:00:00+10:00"],
)
def test_a_moment_at_the_end_of_time_is_refused(given: str) -> None:
    with pytest.raises(InvalidValue, match="after is"):
        moment("after", given)
