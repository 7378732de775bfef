"""States and requests of jobs."""

import pytest

from muniment.jobs import ASKED, MOVES, RETRIED, TERMINAL, JobKind, JobRequest, JobStatus, merged


def test_every_stored_state_has_its_moves_and_blocked_is_none():
    assert set(MOVES) == set(JobStatus) - {JobStatus.BLOCKED}


def test_terminal_states_never_change():
    assert {JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED} == TERMINAL


def test_every_state_can_be_left_or_is_terminal_and_can_be_reached():
    reachable = set().union(*MOVES.values()) | {JobStatus.QUEUED}
    assert reachable == set(MOVES)


@pytest.mark.parametrize("status", JobStatus)
def test_people_are_offered_every_stop_that_the_moves_allow_and_no_other(status):
    stored = JobStatus.QUEUED if status == JobStatus.BLOCKED else status
    stops = {JobStatus.PAUSED, JobStatus.CANCELLED}
    assert {stop.value for stop in MOVES[stored] & stops} == ASKED[status] & {stop.value for stop in stops}
    assert ("resumed" in ASKED[status]) == (status == JobStatus.PAUSED)
    assert ("retried" in ASKED[status]) == (status in RETRIED)


def test_what_did_not_succeed_can_be_retried():
    assert TERMINAL - {JobStatus.COMPLETED} == RETRIED


UPDATE, RECONCILE, REINDEX = JobKind.UPDATE, JobKind.RECONCILE, JobKind.REINDEX


@pytest.mark.parametrize(
    ("request_", "whole"),
    [
        (JobRequest(kind=RECONCILE), True),
        (JobRequest(kind=REINDEX), True),
        (JobRequest(kind=REINDEX, paths=["a"]), False),
        (JobRequest(kind=UPDATE), False),
        (JobRequest(kind=UPDATE, paths=["a"]), False),
    ],
)
def test_only_a_reconcile_or_reindex_without_paths_looks_at_the_whole_tree(request_, whole):
    assert request_.whole_tree is whole


@pytest.mark.parametrize(
    ("waiting", "new", "kind", "paths"),
    [
        (JobRequest(kind=UPDATE), JobRequest(kind=RECONCILE), RECONCILE, []),
        (JobRequest(kind=UPDATE), JobRequest(kind=UPDATE, paths=["a"]), UPDATE, ["a"]),
        (JobRequest(kind=UPDATE, paths=["a"]), JobRequest(kind=UPDATE), UPDATE, ["a"]),
        (JobRequest(kind=UPDATE, paths=["a"]), JobRequest(kind=UPDATE, paths=["b", "a"]), UPDATE, ["a", "b"]),
        (JobRequest(kind=RECONCILE), JobRequest(kind=UPDATE, paths=["a"]), RECONCILE, []),
        (JobRequest(kind=RECONCILE), JobRequest(kind=REINDEX), REINDEX, []),
        (JobRequest(kind=UPDATE, paths=["a"]), JobRequest(kind=REINDEX, paths=["b"]), REINDEX, ["a", "b"]),
    ],
)
def test_the_merged_request_covers_both(waiting, new, kind, paths):
    result = merged(waiting, new)
    assert (result.kind, result.paths) == (kind, paths)
    assert merged(new, waiting).kind == kind


def test_a_repair_means_the_whole_project_and_survives_joining_another_request():
    repair = JobRequest(kind=JobKind.UPDATE, paths=["src"], repair=True)
    assert (repair.kind, repair.paths, repair.whole_tree) == (JobKind.RECONCILE, [], True)
    for other in (JobRequest(kind=JobKind.UPDATE, paths=["a"]), JobRequest(kind=JobKind.UPDATE), JobRequest()):
        assert merged(other, repair) == merged(repair, other) == repair
    assert merged(repair, JobRequest(kind=JobKind.REINDEX)) == JobRequest(kind=JobKind.REINDEX, repair=True)
