"""What an agent reads when its client shows only text."""

from datetime import UTC, datetime
from typing import Any

import pytest

from muniment.errors import ErrorBody
from muniment.jobs import FileCounts, FileFailure, Job, JobKind, JobStatus, Phase
from muniment.memory import MemoryHit, SimilarMemory, Stored
from muniment.search import SearchHit
from muniment.status import IndexHeader, IndexState
from muniment_api.answers import SearchAnswer
from muniment_api.gateway import text

NOON = datetime(2025, 6, 1, 12, tzinfo=UTC)


def header(**fields: Any) -> IndexHeader:
    complete: dict[str, Any] = {
        "state": IndexState.IDLE,
        "lexical_percent": 100.0,
        "vector_percent": 100.0,
        "as_of": NOON,
        "commit": None,
        "pending_changes": 0,
    }
    return IndexHeader(**{**complete, **fields})


def hit(**fields: Any) -> SearchHit:
    plain: dict[str, Any] = {
        "path": "a.md", "start_line": 1, "end_line": 2, "symbol": None, "language": None, "kind": "doc",
        "score": 0.5, "text": "one\ntwo", "stale": False,
    }  # fmt: skip
    return SearchHit(**{**plain, **fields})


def job(**fields: Any) -> Job:
    made: dict[str, Any] = {
        "id": "j1", "project": "k8s", "project_id": "k8s-abc", "kind": JobKind.RECONCILE,
        "status": JobStatus.QUEUED, "created_at": NOON,
    }  # fmt: skip
    return Job(**{**made, **fields})


def answer(*hits: SearchHit, **fields: Any) -> SearchAnswer:
    return SearchAnswer(results=list(hits), index=header(**fields), took_ms=1.0)


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({}, "100.0% lexical, 100.0% vectors, as of 2025-06-01 12:00 UTC, no changes pending"),
        (
            {"state": IndexState.INDEXING, "lexical_percent": 42.0, "vector_percent": 3.1, "pending_changes": 2},
            "42.0% lexical, 3.1% vectors, as of 2025-06-01 12:00 UTC, 2 changes pending, indexing"
            " — results are partial",
        ),
        (
            {"pending_changes": 1, "commit": "0123456789abcdef"},
            "100.0% lexical, 100.0% vectors, as of 2025-06-01 12:00 UTC (commit 0123456789ab), 1 change pending"
            " — results are partial",
        ),
        (
            {"state": IndexState.INDEXING, "lexical_percent": 1.0, "vector_percent": 0.0, "as_of": None},
            "1.0% lexical, 0.0% vectors, first scan under way, no changes pending, indexing — results are partial",
        ),
        ({"state": IndexState.EMPTY}, "empty, nothing was scanned yet — start_indexing fills it."),
    ],
)
def test_the_first_line_says_how_far_to_trust_the_answer(fields: dict[str, Any], line: str) -> None:
    assert text.search_text("k8s", answer(**fields)).split("\n")[0] == f"Index of 'k8s': {line}"


def test_nothing_found_in_a_part_is_told_from_nothing_found() -> None:
    assert text.search_text("k8s", answer()).endswith("\nNo results.")
    assert text.search_text("k8s", answer(lexical_percent=40.0)).endswith("\nNo results in what is indexed so far.")


def test_a_long_answer_is_cut_at_lines_and_says_what_is_missing() -> None:
    long = "\n".join(f"line {number} " + "x" * 80 for number in range(1000))
    shown = text.search_text("k8s", answer(*[hit(path=f"{number}.py", text=long) for number in range(10)]))
    assert len(shown) < text.SNIPPETS_LENGTH + 10 * 200
    assert all(f"{number}.py:1-2" in shown for number in range(10)), "each hit keeps a share"
    kept = shown.split("```\n")[1].count("\n")
    assert f"\n… {1000 - kept} more lines" in shown
    assert "x" * 80 + "\n```" in shown


def test_many_hits_each_keep_a_readable_snippet() -> None:
    shown = text.search_text("k8s", answer(*[hit(text="y" * 5000)] * 100))
    assert shown.count("y" * text.SHORTEST_SNIPPET + "\n```") == 100


def test_a_snippet_with_fences_of_its_own_stays_one_snippet() -> None:
    shown = text.search_text("k8s", answer(hit(text="see\n```go\nx\n```\n", language="markdown")))
    assert "````markdown\nsee\n```go\nx\n```\n````" in shown


def test_a_running_job_shows_its_way_and_a_failed_one_its_remedy() -> None:
    counts = FileCounts(total=2000, done=1000, failed=1, skipped={"binary": 3})
    running = job(
        status=JobStatus.RUNNING, started_at=NOON, phase=Phase.LEXICAL, files=counts, percent=50.0, rate=500.0,
        eta_seconds=2.0, paths=["src"], failures=[FileFailure(path="a.py", reason="no permission")],
    )  # fmt: skip
    assert text.job_text(running) == (
        "Job j1 (reconcile of 'k8s'): running, phase lexical, 1,000 of 2,000 files, 50.0%, 500 files/s,"
        " about 2 s left.\n  Paths: src\n  Skipped: 3 binary\n  Failed files: 1\n    a.py: no permission"
    )
    body = ErrorBody(code="disk_full", message="No space.", remedy="Free some.")
    failed = job(status=JobStatus.FAILED, started_at=NOON, finished_at=NOON, chunks=7, error=body)
    assert text.job_text(failed) == (
        "Job j1 (reconcile of 'k8s'): failed, 0 of 0 files, 7 chunks, ended 2025-06-01 12:00 UTC.\n"
        "  disk_full: No space. Free some."
    )
    blocked = job(status=JobStatus.BLOCKED, blocked_by="j0", paths=[str(number) for number in range(12)])
    assert text.job_text(blocked).startswith("Job j1 (reconcile of 'k8s'): blocked by j0, queued 2025-06-01")
    assert text.job_text(blocked).endswith("8, 9 and 2 more")


def test_a_stored_memory_names_the_similar_ones() -> None:
    stored = Stored(id="m2", created=True, similar=[SimilarMemory(id="m1", score=0.876)], message="Similar exist.")
    assert text.stored_text(stored) == "Stored as m2.\nSimilar exist.\n  similar: m1 (0.88)"


def test_a_memory_carries_both_its_dates_and_is_cut_when_long() -> None:
    later = NOON.replace(day=2)
    found = MemoryHit(
        id="m1", project="k8s", project_id="k8s-abc", content="word\n" * 2000, tags=["a", "b"], source="adr/1",
        created_at=NOON, updated_at=later, score=0.7,
    )  # fmt: skip
    first, *content = text.memories_text([found]).split("\n")
    assert first == ("[m1] 0.70, 2025-06-01 12:00 UTC, updated 2025-06-02 12:00 UTC, tags a, b, source adr/1")
    assert len("\n".join(content)) < text.CONTENT_LENGTH + 50
    assert content[-1].startswith("… ")


def test_an_idle_index_that_lacks_a_file_says_that_waiting_does_not_help() -> None:
    header = IndexHeader(
        state=IndexState.IDLE, lexical_percent=99.9, vector_percent=99.9, as_of=None, commit=None, pending_changes=0
    )
    assert "waiting does not help" in text.index_line("demo", header)
    assert "partial" in text.index_line("demo", header.model_copy(update={"state": IndexState.INDEXING}))
