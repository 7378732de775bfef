"""`muniment doctor` as typed, against a gateway that answers as told."""

import json

import pytest

from muniment.cli import answers, doctor_commands
from muniment.indexing.examining import MEANING, Disagreement, Finding, IndexReport
from muniment.jobs import Job

SOUND = IndexReport(project_id="shop-abc234", files=2, chunks=3, vectors=3)
WRONG = SOUND.model_copy(
    update={
        "findings": [
            Finding(
                what=Disagreement.MISSING_VECTORS,
                count=1_200,
                examples=["slot 7\x1b[31m"],
                meaning=MEANING[Disagreement.MISSING_VECTORS],
            )
        ]
    }
)
REPAIRED = Job.model_validate(
    {
        "id": "job-1", "project": "shop", "project_id": "shop-abc234", "kind": "reconcile", "status": "completed",
        "created_at": "2026-01-01T00:00:00Z",
    }
)  # fmt: skip


class FakeGateway:
    """Answers each examination with the next report."""

    def __init__(self, *reports):
        self.reports, self.posted = list(reports), []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def get_patiently(self, route):
        assert route == "/projects/shop/check"
        return doctor_commands.Answer("http://gateway", self.reports.pop(0).model_dump_json().encode())

    def post(self, route, body):
        self.posted.append((route, body))
        answer = {"job_id": "job-1", "project": "shop", "message": ""}
        return doctor_commands.Answer("http://gateway", json.dumps(answer).encode())


@pytest.fixture
def doctor(monkeypatch, capsys):
    """Runs the command; returns exit status, stdout, and what was asked of the gateway."""

    def run(*reports, **options):
        gateway = FakeGateway(*reports)
        monkeypatch.setattr(doctor_commands, "connect", lambda *_: gateway)
        monkeypatch.setattr(doctor_commands, "see_through", lambda *_: REPAIRED)
        code = 0
        try:
            doctor_commands.doctor("shop", **options)
        except doctor_commands.typer.Exit as end:
            code = end.exit_code
        assert gateway.reports == []
        return code, capsys.readouterr().out, gateway.posted

    return run


def test_a_sound_index_ends_with_0_and_is_not_repaired(doctor):
    code, out, posted = doctor(SOUND, repair=True)
    assert (code, posted) == (0, [])
    assert out.splitlines() == [
        "2 files, 3 chunks, 3 vectors; manifest 0.0 MB, lexical index 0.0 MB",
        "All stores agree.",
    ]


def test_a_disagreement_is_named_and_ends_with_1(doctor):
    code, out, posted = doctor(WRONG)
    assert (code, posted) == (1, [])
    assert "WRONG missing_vectors: 1,200 texts that count as embedded and have no vector" in out
    assert "\x1b" not in out


def test_a_repair_waits_for_its_job_and_examines_again(doctor):
    code, out, posted = doctor(WRONG, SOUND, repair=True)
    assert code == 0
    assert posted == [("/projects/shop/jobs", {"kind": "reconcile", "repair": True})]
    assert out.endswith("All stores agree.\n")


def test_what_a_repair_did_not_mend_ends_with_1(doctor):
    assert doctor(WRONG, WRONG, repair=True)[0] == 1


def test_json_is_the_last_answer_alone(doctor):
    code, out, _ = doctor(WRONG, SOUND, repair=True, as_json=True)
    assert code == 0
    assert IndexReport.model_validate_json(out) == SOUND


def test_what_was_not_compared_is_no_success(doctor):
    code, out, _ = doctor(SOUND.model_copy(update={"busy": True, "unchecked": ["the stores"]}))
    assert code == 1
    assert "Not compared: the stores" in out
    assert "agree" not in out


def test_nothing_indexed_is_said(doctor):
    code, out, _ = doctor(IndexReport(project_id="shop-abc234", indexed=False))
    assert (code, out) == (0, "Nothing is indexed yet.\n")


def test_the_command_reads_what_the_gateway_sends():
    sent = set(IndexReport.model_fields) | set(IndexReport.model_computed_fields)
    assert set(answers.IndexReport.model_fields) <= sent
    assert set(answers.Finding.model_fields) == set(Finding.model_fields)
