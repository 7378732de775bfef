"""What a person sees: every table within 80 columns, nothing that steers the terminal."""

import io
import subprocess
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console, RenderableType

from muniment.backlog import ProjectQueue, QueueStatus
from muniment.cli.answers import Found, FoundRelated, Hit, ListedProject, ProjectIndex
from muniment.cli.render import (
    age,
    change_line,
    clean,
    job_details,
    jobs_table,
    projects_table,
    shell_word,
    show_queues,
    status_details,
    summary,
)
from muniment.cli.search_render import index_line, show_found, show_related, snippet
from muniment.errors import DiskFull
from muniment.job_records import NO_SLOT, RESTING
from muniment.jobs import FileCounts, FileFailure, Job, JobKind, JobStatus, Phase
from muniment.status import Coverage, IndexHeader, IndexState, LastReconcile, ProjectStatus

NOW = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
INDEX = IndexHeader(
    state=IndexState.INDEXING, lexical_percent=42, vector_percent=3.1, as_of=NOW, commit=None, pending_changes=3
)
JOB = Job(
    id="0123456789abcdef",
    project="alpha",
    project_id="alpha-x7k2m9",
    kind=JobKind.RECONCILE,
    status=JobStatus.RUNNING,
    phase=Phase.LEXICAL,
    files=FileCounts(total=22_001, done=12_345, failed=7, skipped={"binary": 31, "oversized": 2}),
    failures=[FileFailure(path=f"src/f{n}.py", reason="unreadable") for n in range(7)],
    percent=17.2,
    rate=1234.0,
    eta_seconds=75.0,
    with_errors=True,
    created_at=NOW - timedelta(minutes=5),
    started_at=NOW - timedelta(minutes=4),
    attempt=1,
)
STATUS = ProjectStatus(
    project="alpha",
    project_id="alpha-x7k2m9",
    state=IndexState.INDEXING,
    up_to_date=False,
    coverage=Coverage(
        files_total=22_001, files_lexical=9_240, files_vector=682, lexical_percent=42, vector_percent=3.1, chunks=30_000
    ),
    missing=12_761,
    extra=4,
    last_reconcile=LastReconcile(at=NOW, files=22_000),
    commit="0123456789abcdef0123456789abcdef01234567",
    pending_changes=1,
    watch=False,
    memories=12,
    job=JOB,
)


def hit(**fields: object) -> Hit:
    given = {
        "project": "alpha",
        "path": "src/app.py",
        "start_line": 3,
        "end_line": 9,
        "symbol": "main",
        "score": 0.98,
        "stale": False,
    }
    return Hit.model_validate({**given, "text": "def main():\n    run()\n", **fields})


def seen(*shown: RenderableType, width: int = 80) -> str:
    out = Console(file=io.StringIO(), width=width, markup=False, highlight=False)
    for one in shown:
        out.print(one)
    assert isinstance(out.file, io.StringIO)
    return out.file.getvalue()


def found(*hits: Hit, index: IndexHeader = INDEX, query: str = "main", degraded: tuple[str, ...] = ()) -> str:
    out = Console(file=io.StringIO(), width=80, markup=False, highlight=False)
    show_found(out, Found(results=list(hits), index=index, took_ms=4.2, degraded=list(degraded)), query)
    assert isinstance(out.file, io.StringIO)
    return out.file.getvalue()


def test_a_search_says_first_how_complete_and_fresh_the_index_is():
    assert found(hit()).splitlines() == [
        "Index: 42.0% lexical, 3.1% vectors, as of 2026-01-02 03:04 UTC; 3 changes pending; indexing",
        "",
        "src/app.py:3-9  main  0.98",
        "      3  def main():",
        "      4      run()",
    ]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"state": IndexState.EMPTY}, "Index: empty, nothing was scanned yet"),
        ({"as_of": None, "pending_changes": 0}, "first scan under way; no changes pending; indexing"),
        ({"state": IndexState.IDLE, "pending_changes": 1}, "as of 2026-01-02 03:04 UTC; 1 change pending"),
        ({"state": IndexState.FAILED}, "; failed — the last job failed: `muniment jobs` says why"),
        ({"state": IndexState.PAUSED}, "; paused — `muniment jobs resume` lets it go on"),
    ],
)
def test_the_first_line_follows_the_state_of_the_index(changes: dict[str, object], line: str):
    assert index_line(INDEX.model_copy(update=changes)).endswith(line)


def test_no_results_are_told_apart_from_none_yet():
    assert found().endswith("No results in what is indexed so far.\n")
    assert found(index=INDEX.model_copy(update={"lexical_percent": 100.0})).endswith("No results.\n")


def test_a_part_that_could_not_take_part_is_named():
    assert "Degraded: vectors: chroma is away" in found(hit(), degraded=("vectors: chroma is away",))


def test_a_hit_whose_file_has_changed_says_so():
    assert "src/app.py:3-9  main  0.98  (the file has changed since)" in found(hit(stale=True))


def test_several_projects_are_named_with_their_hits_and_their_indexes():
    out = Console(file=io.StringIO(), width=80, markup=False, highlight=False)
    other = ProjectIndex(project="beta", index=INDEX.model_copy(update={"state": IndexState.EMPTY}))
    show_found(out, Found(results=[hit(project="beta")], index=INDEX, others=[other], took_ms=1.0, gone=2), "main")
    assert isinstance(out.file, io.StringIO)
    shown = out.file.getvalue().splitlines()
    assert shown[1:3] == [
        "Index of beta: empty, nothing was scanned yet",
        "Left out: 2 files that matched but are gone by now",
    ]
    assert "[beta] src/app.py:3-9  main  0.98" in shown


def test_further_places_of_a_file_are_named_below_its_hit():
    also = [{"start_line": 40, "end_line": 52, "symbol": "App.run"}, {"start_line": 60, "end_line": 61, "symbol": None}]
    assert found(hit(also=also)).endswith("\n         also 40-52 App.run, 60-61\n")


def test_what_is_like_a_place_is_shown_below_it():
    out = Console(file=io.StringIO(), width=80, markup=False, highlight=False)
    of = {"path": "src/a.py", "start_line": 1, "end_line": 2, "symbol": "start"}
    show_related(out, FoundRelated.model_validate({"of": of, "results": [hit()], "index": INDEX}))
    show_related(out, FoundRelated.model_validate({"of": of, "results": [], "index": INDEX}))
    assert isinstance(out.file, io.StringIO)
    assert "src/a.py:1-2  start is like:\n\nsrc/app.py:3-9  main  0.98\n" in out.file.getvalue()
    assert out.file.getvalue().endswith("src/a.py:1-2  start is like nothing else.\n")


def test_what_a_file_holds_cannot_steer_the_terminal():
    shown = found(hit(path="src/\x1b[2J.py", symbol="[red]x\n", text="a\x1b]0;owned\x07\u202eb\r\n\x9b2J[/red]\udc80"))

    assert not set(shown) & set("\x1b\x07\r\x9b\u202e\udc80")
    assert "src/\ufffd[2J.py:3-9  [red]x\ufffd  0.98" in shown
    assert "[/red]" in shown


def test_a_snippet_is_where_the_words_of_the_question_are():
    text = "\n".join(f"line {n}" for n in range(20)).replace("line 12", "the lease is renewed")

    assert snippet(text, 100, "where is the LEASE renewed")[-1] == "    112  the lease is renewed"
    assert snippet(text, 100, "nothing of this")[0] == "    100  line 0"
    assert snippet("", 1, "x") == []
    assert snippet("\n\n\tone", 7, "one") == ["      9      one"]


def test_long_lines_are_cut_at_the_edge():
    lines = found(hit(text="x" * 500)).splitlines()

    assert len(lines[-1]) == 80
    assert lines[-1].endswith("…")


LONG = "a-project-with-a-name-that-is-as-long-as-a-name-may-ever-be.0123"[:63]


@pytest.mark.parametrize("name", ["alpha", LONG])
def test_tables_fit_80_columns_and_show_names_in_full(name: str):
    project = ListedProject(
        id=JOB.project_id, name=name, watch_paths=["/src"], created_at=NOW, updated_at=NOW, index=INDEX
    )
    done = JOB.model_copy(update={"project": name, "status": JobStatus.COMPLETED, "finished_at": NOW})
    tables = seen(
        projects_table([project], {JOB.project_id: JOB}), jobs_table([JOB, done], NOW), status_details(STATUS)
    )

    assert max(map(len, tables.splitlines())) <= 80
    assert "…" not in tables
    rows = seen(projects_table([project], {})).splitlines()[1:]
    assert "".join(row.split()[0] for row in rows) == name


def test_the_table_of_projects_tells_coverage_state_changes_and_job():
    project = ListedProject(
        id=JOB.project_id, name="alpha", watch_paths=["/src"], created_at=NOW, updated_at=NOW, index=INDEX
    )
    beta = project.model_copy(
        update={"id": "beta-222222", "name": "beta", "index": INDEX.model_copy(update={"as_of": None})}
    )
    rows = [line.split() for line in seen(projects_table([project, beta], {JOB.project_id: JOB})).splitlines()]

    assert rows == [
        ["PROJECT", "STATE", "LEXICAL", "VECTORS", "PENDING", "AS", "OF", "JOB"],
        ["alpha", "indexing", "42.0%", "3.1%", "3", "2026-01-02", "03:04", "lexical", "17%"],
        ["beta", "indexing", "42.0%", "3.1%", "3", "-", "-"],
    ]


def test_the_table_of_jobs_tells_how_far_each_is():
    jobs = [
        JOB,
        JOB.model_copy(update={"status": JobStatus.QUEUED, "percent": 0.0}),
        JOB.model_copy(update={"status": JobStatus.PAUSED}),
        JOB.model_copy(update={"status": JobStatus.COMPLETED, "finished_at": NOW}),
    ]
    rows = [" ".join(line.split()) for line in seen(jobs_table(jobs, NOW)).splitlines()]

    assert rows == [
        "ID PROJECT KIND STATUS PROGRESS AGE",
        "0123456789abcdef alpha reconcile running lexical 17% 5 min",
        "0123456789abcdef alpha reconcile queued queued 5 min",
        "0123456789abcdef alpha reconcile paused paused 17% 5 min",
        "0123456789abcdef alpha reconcile completed 12,345 files, 7 failed 5 min",
    ]


def test_a_blocked_job_tells_in_the_table_what_it_waits_for():
    blocked = JOB.model_copy(update={"status": JobStatus.BLOCKED})
    waits = [{"blocked_by": NO_SLOT}, {"blocked_by": "fedcba9876543210"}, {"blocked_by": RESTING, "retry_at": NOW}]
    table = seen(jobs_table([blocked.model_copy(update=each) for each in waits], NOW))

    assert [" ".join(line.split()[4:-2]) for line in table.splitlines()[1:]] == [
        "no free slot",
        "after fedcba9876543210",
        "again at 03:04:00",
    ]


def queue_of(**fields: object) -> ProjectQueue:
    given: dict[str, object] = dict.fromkeys(("oldest_wait", "running_job", "holder", "held_since"))
    counts = {"depth": 1, "jobs_waiting": 1, "paths_waiting": 0, "paused_jobs": [], "draining": False}
    names = {"project": "alpha", "project_id": JOB.project_id}
    return ProjectQueue.model_validate({**given, **counts, **names, **fields})


def queues(*items: ProjectQueue, hint: str | None = None) -> list[str]:
    out = Console(file=io.StringIO(), width=80, markup=False, highlight=False)
    show_queues(out, QueueStatus(items=list(items), slots_used=1, slots=3, hint=hint), NOW)
    assert isinstance(out.file, io.StringIO)
    return out.file.getvalue().splitlines()


def test_queues_tell_what_waits_who_works_and_since_when():
    held = {"holder": "4c7b0e2f9a11:123", "held_since": NOW - timedelta(minutes=4)}
    busy = queue_of(jobs_waiting=2, paths_waiting=1_234, oldest_wait=42.4, running_job=JOB.id, **held)
    stopping = queue_of(project="beta", draining=True, paused_jobs=["a", "b"], **held)
    idle = queue_of(project="gamma", depth=0, jobs_waiting=0)
    lines = [" ".join(line.split()) for line in queues(busy, stopping, idle, hint="1,237 jobs wait.")]

    assert lines == [
        "1 of 3 slots in use.",
        "Nothing waits or runs for 1 project.",
        "PROJECT JOBS PATHS OLDEST RUNNING PAUSED WORKER FOR",
        "alpha 2 1,234 42 s 0123456789abcdef 0 4c7b0e2f9a11:123 4 min",
        "beta 1 0 - stopping 2 4c7b0e2f9a11:123 4 min",
        "all: 1,237 jobs wait.",
    ]


def test_queues_fit_80_columns_and_show_names_in_full():
    name, holder = LONG, f"{LONG}:123456"
    long = queue_of(
        project=name, paths_waiting=1_234_567, oldest_wait=86_400 * 3, running_job=JOB.id, holder=holder, held_since=NOW
    )
    lines = queues(long)

    assert max(map(len, lines)) <= 80
    assert "…" not in "".join(lines)
    cells = [line.split() for line in lines[2:]]
    assert "".join(row[0] for row in cells) == name
    assert "".join([cells[0][-3], *(row[1] for row in cells[1:] if len(row) > 1)]) == holder


def test_a_change_is_one_line_that_a_name_cannot_break():
    error = DiskFull("/data\n\x1b[2J").body()
    failed = JOB.model_copy(update={"status": JobStatus.FAILED, "finished_at": NOW, "error": error})
    line = change_line(failed, NOW).plain

    assert line.startswith("03:04:00  0123456789abcdef  failed     reconcile of alpha: ")
    assert clean(line) == line


def test_a_project_s_status_tells_everything_that_the_gateway_told():
    lines = [" ".join(line.split()) for line in seen(status_details(STATUS)).splitlines()]

    assert lines[:11] == [
        "Project alpha (alpha-x7k2m9)",
        "State indexing",
        "Coverage 42.0% lexical, 3.1% vectors",
        "Files 22,001: 12,761 not indexed yet, 4 to be removed",
        "Chunks 30,000",
        "Pending 1 change",
        "Reconciled 2026-01-02 03:04 UTC, 22,000 files",
        "Commit 0123456789abcdef0123456789abcdef01234567",
        "Watched no; `muniment index alpha` takes changes in",
        "Memories 12",
        "Job",
    ]
    idle = {"state": IndexState.IDLE, "up_to_date": True, "job": None, "last_reconcile": None}
    lines = [" ".join(line.split()) for line in seen(status_details(STATUS.model_copy(update=idle))).splitlines()]
    assert "State idle, up to date" in lines
    assert "Reconciled never" in lines
    assert lines[-1] == "Job -"


def test_a_job_tells_its_progress_and_its_first_failures():
    lines = [" ".join(line.split()) for line in seen(job_details(JOB)).splitlines()]

    assert "Status running with errors" in lines
    assert "Progress lexical, 17.2%, 1,234 files/s, about 75 s left" in lines
    assert "Files 12,345 of 22,001, 7 failed" in lines
    assert "Skipped 31 binary, 2 oversized" in lines
    assert lines[-6:] == [
        "Failed src/f0.py: unreadable",
        *(f"src/f{n}.py: unreadable" for n in range(1, 5)),
        "and 2 more",
    ]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"status": JobStatus.QUEUED}, "Status queued, waits for a worker"),
        ({"status": JobStatus.BLOCKED, "blocked_by": "no free slot"}, "Status blocked, waits for a free slot"),
        ({"status": JobStatus.BLOCKED, "blocked_by": "fedc"}, "Status blocked, waits for job fedc"),
        (
            {"status": JobStatus.BLOCKED, "blocked_by": RESTING, "retry_at": NOW},
            "Status blocked, waits for its next attempt at 03:04:00 UTC",
        ),
        ({"retries": 2, "retry_at": NOW}, "Retries 2; the next attempt at 03:04:00 UTC"),
        ({"retries": 2}, "Retries 2"),
        ({"estimate_seconds": 75.0}, "Estimate 75 s"),
        ({"estimate_seconds": 75.0, "estimate_error": 0.234}, "Estimate 75 s; it took 23% longer"),
        ({"estimate_seconds": 75.0, "estimate_error": -0.5}, "Estimate 75 s; it took 50% less"),
        ({"paths": [f"p{n}" for n in range(7)]}, "Paths p0, p1, p2, p3, p4 and 2 more"),
    ],
)
def test_a_job_tells_what_it_is_about_and_waits_for(changes: dict[str, object], line: str):
    job = JOB.model_copy(update={"started_at": None, "with_errors": False, **changes})
    assert line in [" ".join(each.split()) for each in seen(job_details(job)).splitlines()]


def test_a_failed_job_tells_its_error_and_remedy():
    error = DiskFull("/data").body()
    job = JOB.model_copy(update={"status": JobStatus.FAILED, "finished_at": NOW, "error": error})
    told = " ".join(seen(job_details(job)).split())

    assert f"Error {error.message} {error.remedy}" in told
    assert "Progress" not in told


def test_the_summary_of_a_job_counts_files_failures_and_skips():
    done = JOB.model_copy(update={"status": JobStatus.COMPLETED, "finished_at": NOW})
    assert summary(done) == "Completed in 4 min: 12,345 files, 7 failed; skipped: 31 binary, 2 oversized"
    small = done.model_copy(update={"files": FileCounts(total=1, done=1)})
    assert summary(small) == "Completed in 4 min: 1 file; skipped: none"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0.0 s"), (0.24, "0.2 s"), (45, "45 s"), (119, "119 s"), (120, "2 min"), (7_200, "2 h"), (864_000, "10 d")],
)
def test_a_length_of_time_is_told_in_its_largest_unit(seconds: float, text: str):
    assert age(timedelta(seconds=seconds)) == text


def test_one_line_stays_one_line():
    assert clean("a\nb\tc") == "a\ufffdb c"


@pytest.mark.parametrize(
    "text", ["src/a.py", "a b", "it's\\", "a\nb", "a\tb'c\\d", "\x1b[1mx", "\u202eé\x85", "$(x)`y`"]
)
def test_a_word_for_the_shell_is_safe_to_print_and_means_the_text(text: str):
    word = shell_word(text)
    assert clean(word) == word
    said = subprocess.run(
        ["bash", "-c", f"printf %s {word}"], stdout=subprocess.PIPE, check=True, env={"LC_ALL": "C.UTF-8"}
    )
    assert said.stdout.decode() == text
