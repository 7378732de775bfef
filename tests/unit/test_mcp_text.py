"""What an agent reads when its client shows only text."""

from datetime import UTC, datetime
from typing import Any

import pytest

from muniment.errors import ErrorBody
from muniment.jobs import FileCounts, FileFailure, Job, JobKind, JobStatus, Phase
from muniment.status import IndexHeader, IndexState
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


def job(**fields: Any) -> Job:
    made: dict[str, Any] = {
        "id": "j1", "project": "k8s", "project_id": "k8s-abc", "kind": JobKind.RECONCILE,
        "status": JobStatus.QUEUED, "created_at": NOON,
    }  # fmt: skip
    return Job(**{**made, **fields})


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({}, "100.0% lexical, 100.0% vectors, as of 2025-06-01 12:00 UTC, no changes pending"),
        (
            {"state": IndexState.INDEXING, "lexical_percent": 42.0, "vector_percent": 3.1, "pending_changes": 2},
            "42.0% lexical, 3.1% vectors, as of 2025-06-01 12:00 UTC, 2 changes pending, indexing"
            " — results are partial: wait_for_index",
        ),
        (
            {"pending_changes": 1, "commit": "0123456789abcdef"},
            "100.0% lexical, 100.0% vectors, as of 2025-06-01 12:00 UTC (commit 0123456789ab), 1 change pending"
            " — results are partial: wait_for_index",
        ),
        (
            {"state": IndexState.INDEXING, "lexical_percent": 1.0, "vector_percent": 0.0, "as_of": None},
            "1.0% lexical, 0.0% vectors, first scan under way, no changes pending, indexing"
            " — results are partial: wait_for_index",
        ),
        (
            {"state": IndexState.FAILED},
            "100.0% lexical, 100.0% vectors, as of 2025-06-01 12:00 UTC, no changes pending, failed"
            " — the last job failed: index_status says why, start_indexing tries again",
        ),
        (
            {"state": IndexState.PAUSED, "lexical_percent": 5.0, "vector_percent": 0.0},
            "5.0% lexical, 0.0% vectors, as of 2025-06-01 12:00 UTC, no changes pending, paused"
            " — results are partial until resume_job: index_status names the paused job",
        ),
        ({"state": IndexState.EMPTY}, "empty, nothing was scanned yet — start_indexing fills it."),
    ],
)
def test_the_first_line_says_how_far_to_trust_the_answer(fields: dict[str, Any], line: str) -> None:
    assert text.index_line("k8s", header(**fields)) == f"Index of 'k8s': {line}"


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


def test_an_idle_index_that_lacks_a_file_says_that_waiting_does_not_help() -> None:
    header = IndexHeader(
        state=IndexState.IDLE, lexical_percent=99.9, vector_percent=99.9, as_of=None, commit=None, pending_changes=0
    )
    assert "waiting does not help" in text.index_line("demo", header)
    assert "partial" in text.index_line("demo", header.model_copy(update={"state": IndexState.INDEXING}))
