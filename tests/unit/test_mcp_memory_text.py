"""Memories as text for agents."""

from datetime import UTC, datetime
from typing import Any

import pytest

from muniment.memory import Anchor, CodeState, Memory, SimilarMemory, StaleMemory, Stored, Topic
from muniment_api.gateway import memory_text as text
from muniment_api.memory_shapes import (
    Expanded,
    FilePointer,
    FoundMemories,
    FoundMemory,
    Mode,
    Pruned,
    StoredBatch,
    Topics,
    cut,
)

NOON = datetime(2025, 6, 1, 12, tzinfo=UTC)


def memory(**more: Any) -> FoundMemory:
    given = {"id": "m1", "project": "shop", "project_id": "shop-abc", "content": "one\ntwo", "score": 0.7}
    return FoundMemory(**{**given, "created_at": NOON, "updated_at": NOON, **more})


def found(*results: FoundMemory, mode: Mode = Mode.SUMMARY, files: list[FilePointer] | None = None) -> str:
    return text.found_text(FoundMemories(project="shop", mode=mode, results=list(results), files=files or []))


def test_memories_are_grouped_by_project_the_asked_one_first_with_its_files() -> None:
    pointer = FilePointer(path="src/pay.py", start_line=3, end_line=9, symbol="Pay.retry", score=0.5)
    there = memory(id="m2", project="bank", content="elsewhere", score=0.9)
    assert found(there, memory(), files=[pointer]) == (
        "[shop]\nMemories:\n- m1 0.70, 2025-06-01\n  one\n  two\nIndexed files:\n- src/pay.py:3-9 Pay.retry 0.50\n\n"
        "[bank]\nMemories:\n- m2 0.90, 2025-06-01\n  elsewhere"
    )


def test_without_memories_the_files_still_answer() -> None:
    pointer = FilePointer(path="a.md", start_line=1, end_line=2, symbol=None, score=0.25)
    assert found() == "[shop]\nNo memories found."
    assert found(files=[pointer]) == "[shop]\nNo memories found.\nIndexed files:\n- a.md:1-2 0.25"


def test_a_memory_shows_dates_tags_source_and_what_replaced_it() -> None:
    shown = found(
        memory(tags=["a", "b"], source="adr/1", updated_at=NOON.replace(day=2), superseded_by="m9", content="x")
    )
    assert shown.splitlines()[2:] == [
        "- m1 0.70, 2025-06-01, updated 2025-06-02, tags a, b, source adr/1",
        "  superseded by m9",
        "  x",
    ]


@pytest.mark.parametrize(
    ("state", "line"),
    [
        (CodeState.SAME, "  about a.py:2-4 (put)"),
        (CodeState.CHANGED, "  code changed: a.py:2-4 (put) — read it, then update_memory: confirm_code=true if"),
        (CodeState.GONE, "  code gone: a.py:2-4 (put) — update_memory with the path that took its place, or"),
    ],
)
def test_a_memory_about_code_says_whether_that_is_the_same_and_what_to_do(state: CodeState, line: str) -> None:
    anchor = Anchor(path="a.py", start_line=2, end_line=4, symbol="put", hash="00")
    assert found(memory(anchor=anchor, code=state)).splitlines()[3].startswith(line)
    whole_file = Anchor(path="a.py", hash="00")
    assert found(memory(anchor=whole_file, code=CodeState.SAME)).splitlines()[3] == "  about a.py"


def test_a_probe_is_one_line_each_and_marks_what_one_must_know() -> None:
    marked = memory(
        id="m2", content="cut…", truncated=True, superseded_by="m3", code=CodeState.CHANGED, anchor=None, score=0.5
    )
    assert found(memory(content="whole"), marked, mode=Mode.PROBE) == (
        "[shop]\nMemories:\n- m1 0.70 whole\n- m2 0.50 cut… (code changed, superseded, truncated)\n\n"
        "Cut where it says truncated: expand_memories shows them whole."
    )


def test_a_cut_memory_says_so_and_how_to_see_it_whole() -> None:
    shown = found(memory(content="cut…", truncated=True))
    assert "- m1 0.70, 2025-06-01, truncated\n" in shown
    assert shown.endswith("expand_memories shows them whole.")


@pytest.mark.parametrize(
    ("content", "mode", "shown"),
    [
        ("word " * 100, Mode.PROBE, "word " * 14 + "word…"),
        ("x" * 300, Mode.SUMMARY, "x" * 200 + "…"),
        ("a " + "x" * 300, Mode.SUMMARY, "a " + "x" * 198 + "…"),
        ("x" * 80, Mode.PROBE, "x" * 80),
        ("a\n  b\tc", Mode.PROBE, "a b c"),
        ("a\n  b", Mode.SUMMARY, "a\n  b"),
    ],
)
def test_a_text_is_cut_at_a_word_if_it_has_words(content: str, mode: Mode, shown: str) -> None:
    assert cut(content, mode) == (shown, shown.endswith("…"))


def test_expanded_memories_are_whole_and_the_missing_are_named() -> None:
    whole = Memory(**memory(content="x\n" * 500).model_dump(exclude={"score", "truncated"}))
    shown = text.expanded_text(Expanded(project="shop", memories=[whole], missing=["m8", "m9"]))
    assert shown.startswith("[shop]\n- m1 2025-06-01\n  x\n")
    assert shown.count("  x") == 500
    assert shown.endswith("\nNot in this project: m8, m9")


def test_a_stored_memory_shows_the_similar_ones_and_what_it_replaced() -> None:
    similar = [SimilarMemory(id="m1", score=0.876), SimilarMemory(id="m3", score=0.81)]
    stored = Stored(id="m2", created=True, supersedes="m0", similar=similar, message="Similar memories exist: look.")
    assert text.stored_text("shop", stored, {"m1": "deploys…"}) == (
        "[shop] Stored as m2, in place of m0.\nSimilar memories exist: look.\n- m1 0.88 deploys…\n- m3 0.81"
    )


def test_a_refused_duplicate_shows_what_said_it_before() -> None:
    refused = Stored(id="m1", created=False, duplicate_of="m1", message="Not stored: memory m1 says nearly the same.")
    told = "Not stored: memory m1 says nearly the same."
    assert text.stored_text("shop", refused, {"m1": "deploys…"}) == f"[shop] {told}\n  m1 deploys…"
    assert text.stored_text("shop", refused, {}) == f"[shop] {told}"
    batch = StoredBatch(items=[Stored(id="m2", created=True), refused])
    assert text.batch_text("shop", batch, {}) == f"[shop] Stored 1 of 2.\n0. Stored as m2.\n1. {told}"


def test_topics_are_listed_with_their_number_up_to_a_bound() -> None:
    topics = [Topic(tag=f"t{place}", memories=200 - place, updated_at=NOON) for place in range(text.TOPICS_SHOWN + 5)]
    shown = text.topics_text("shop", Topics(items=topics))
    assert shown.startswith("[shop] t0 200, t1 199, ")
    assert shown.endswith(" and 5 more")
    assert text.topics_text("shop", Topics(items=[])) == "[shop] No tags yet."


def test_a_clean_up_says_what_would_go_and_what_went() -> None:
    stale = StaleMemory(id="m1", content="an old\nfact " + "x" * 100, tags=[], last_used_at=NOON)
    dry = text.pruned_text("shop", Pruned(dry_run=True, count=2, memories=[stale]), 60)
    assert dry.startswith(
        "[shop] 2 memories that nobody read or changed for 60 days; dry_run=false deletes them:\n"
        "- m1 2025-06-01 an old fact xxx"
    )
    assert dry.endswith("x…\nand 1 more")
    gone = text.pruned_text("shop", Pruned(dry_run=False, count=1, memories=[stale]), 1)
    assert gone.startswith("[shop] Deleted 1 memory that nobody read or changed for 1 day:\n")
    none = text.pruned_text("shop", Pruned(dry_run=True, count=0, memories=[]), 60)
    assert none == "[shop] Every memory was read or changed within 60 days."
