"""Projects and their jobs over REST."""

from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from muniment.settings import Settings
from muniment_api.deps import Services

PROJECTS = "/api/v1/projects"


@pytest.fixture
def source(gateway_settings: Settings) -> Path:
    folder = gateway_settings.roots[0] / "alpha"
    folder.mkdir()
    return folder


@pytest.fixture
def alpha(api: TestClient, source: Path) -> dict[str, object]:
    """The answer to making project alpha."""
    answer = api.post(PROJECTS, json={"name": "alpha", "watch_paths": [str(source)]})
    assert answer.status_code == 202
    made: dict[str, object] = answer.json()
    return made


def test_making_a_project_answers_at_once_with_its_job(api: TestClient, alpha: dict[str, object], source: Path) -> None:
    project = alpha["project"]
    assert isinstance(project, dict)
    assert project["watch_paths"] == [str(source)]
    assert alpha["message"] == (
        "Project 'alpha' initialized. Indexing in progress — use index_status to check progress."
    )
    assert api.get(f"/api/v1/jobs/{alpha['job_id']}").json()["status"] == "queued"


def test_a_second_call_replaces_the_given_fields_and_keeps_the_others(
    api: TestClient, alpha: dict[str, object], source: Path
) -> None:
    answer = api.post(PROJECTS, json={"name": "alpha", "watch_patterns": ["*.py"]}).json()
    assert answer["project"]["watch_patterns"] == ["*.py"]
    assert answer["project"]["watch_paths"] == [str(source)]
    assert answer["job_id"] == alpha["job_id"], "the job that waits takes it over"


@pytest.mark.usefixtures("alpha")
def test_a_project_answers_to_its_name_in_any_case_and_to_its_id(api: TestClient) -> None:
    by_name = api.get(f"{PROJECTS}/ALPHA").json()
    assert api.get(f"{PROJECTS}/{by_name['id']}").json() == by_name


@pytest.mark.usefixtures("alpha")
def test_the_list_tells_how_far_each_index_is(api: TestClient) -> None:
    page = api.get(PROJECTS).json()
    assert page["next"] is None
    assert [(item["name"], item["index"]["state"]) for item in page["items"]] == [("alpha", "indexing")]


def test_a_damaged_manifest_is_told_and_does_not_take_the_list_with_it(
    api: TestClient, alpha: dict[str, object], gateway_settings: Settings
) -> None:
    project = alpha["project"]
    assert isinstance(project, dict)
    manifest = gateway_settings.folder.project(project["id"]).manifest
    manifest.parent.mkdir(parents=True)
    manifest.write_bytes(b"no database" * 500)
    (item,) = api.get(PROJECTS).json()["items"]
    assert str(manifest) in item["index"]["warnings"][0]
    assert api.get(f"{PROJECTS}/alpha/status").json()["up_to_date"] is False


def test_an_unknown_project_is_named_with_the_known_ones(api: TestClient, alpha: dict[str, object]) -> None:
    assert alpha
    answer = api.get(f"{PROJECTS}/alpa/status")
    assert answer.status_code == 404
    assert answer.json()["code"] == "unknown_project"
    assert answer.json()["message"] == "No project named 'alpa'. Known: alpha."


def test_status_of_a_project_that_was_never_scanned(api: TestClient, alpha: dict[str, object]) -> None:
    status = api.get(f"{PROJECTS}/alpha/status").json()
    assert (status["state"], status["up_to_date"], status["coverage"]["files_total"]) == ("indexing", False, 0)
    assert status["job"]["id"] == alpha["job_id"]


@pytest.mark.parametrize(
    ("body", "code", "named"),
    [
        ({"name": "a/b", "watch_paths": ["/tmp"]}, "invalid_project_name", "a/b"),
        ({"name": "x", "watch_paths": ["{roots}/nowhere"]}, "path_not_found", "nowhere"),
        ({"name": "x", "watch_paths": ["relative"]}, "path_not_absolute", "relative"),
        ({"name": "x", "watch_paths": ["/"]}, "path_outside_roots", "/"),
        ({"name": "x"}, "invalid_value", "watch_paths"),
        ({"watch_paths": ["/tmp"]}, "invalid_value", "name is None: it is required"),
        ({"name": "x", "watch_path": ["/tmp"]}, "invalid_value", "watch_path is ['/tmp']"),
        ({"name": "x", "watch_paths": "/tmp"}, "invalid_value", "watch_paths is '/tmp'"),
        ({"name": "x", "watch_paths": [7]}, "invalid_value", "watch_paths.0 is 7"),
        ({"name": "x", "watch_paths": ["{roots}/\0"]}, "invalid_value", "NUL"),
        ({"name": "x", "watch_paths": ["~nobody-of-this-name/x"]}, "path_not_found", "~nobody"),
        ({"name": "x", "watch_paths": ["{roots}/" + "x" * 300]}, "path_not_found", "xxx"),
    ],
)
def test_bad_input_names_the_value_and_the_remedy(
    api: TestClient, gateway_settings: Settings, body: dict[str, object], code: str, named: str
) -> None:
    paths = body.get("watch_paths")
    if isinstance(paths, list):
        roots = str(gateway_settings.roots[0])
        body = body | {"watch_paths": [p.replace("{roots}", roots) if isinstance(p, str) else p for p in paths]}
    answer = api.post(PROJECTS, json=body)
    assert answer.status_code in (403, 422)
    assert answer.json()["code"] == code
    assert named in answer.json()["message"]
    assert answer.json()["remedy"]


def test_half_a_surrogate_pair_is_refused(api: TestClient) -> None:
    answer = api.post(PROJECTS, content=rb'{"name": "\ud800"}', headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_value")
    assert "no text" in answer.json()["message"]


def test_a_body_that_is_no_json_is_refused_in_the_same_shape(api: TestClient) -> None:
    answer = api.post(PROJECTS, content=b'{"name": ', headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
    assert "it is not JSON" in answer.json()["message"]


@pytest.mark.usefixtures("alpha")
def test_a_job_for_a_project_that_has_one_waiting_joins_it(
    api: TestClient, alpha: dict[str, object], services: Services
) -> None:
    answer = api.post(f"{PROJECTS}/alpha/jobs", json={"kind": "reindex"})
    assert (answer.status_code, answer.json()["job_id"]) == (202, alpha["job_id"])
    assert services.queue.get(str(alpha["job_id"])).kind == "reindex"


@pytest.mark.usefixtures("alpha")
@pytest.mark.parametrize("path", ["../beta", "a/../../b", "/etc", "\0", "/etc/\0"])
def test_a_path_outside_the_project_starts_no_job(api: TestClient, path: str) -> None:
    answer = api.post(f"{PROJECTS}/alpha/jobs", json={"kind": "update", "paths": [path]})
    assert (answer.status_code, answer.json()["code"]) == (422, "path_outside_project")


def test_jobs_come_in_pages_newest_first(api: TestClient, gateway_settings: Settings) -> None:
    made = []
    for name in ("one", "two", "three"):
        folder = gateway_settings.roots[0] / name
        folder.mkdir()
        made.append(api.post(PROJECTS, json={"name": name, "watch_paths": [str(folder)]}).json()["job_id"])
    first = api.get("/api/v1/jobs", params={"limit": 2}).json()
    second = api.get("/api/v1/jobs", params={"limit": 2, "cursor": first["next"]}).json()
    assert sorted(job["id"] for job in first["items"] + second["items"]) == sorted(made)
    assert len(first["items"]) == 2
    assert second["next"] is None


@pytest.mark.usefixtures("alpha")
def test_jobs_are_filtered_by_project_and_state(api: TestClient) -> None:
    def count(**params: object) -> int:
        return len(api.get("/api/v1/jobs", params=params).json()["items"])  # type: ignore[arg-type]

    assert count(project="alpha", status="queued") == 1
    assert count(status=["running", "failed"]) == 0
    assert api.get("/api/v1/jobs", params={"project": "beta"}).status_code == 404


@pytest.mark.parametrize(
    ("params", "field"), [({"status": "done"}, "status"), ({"limit": 0}, "limit"), ({"cursor": "now"}, "cursor")]
)
def test_a_wrong_filter_is_named(api: TestClient, params: dict[str, str], field: str) -> None:
    answer = api.get("/api/v1/jobs", params=params)
    assert answer.status_code == 422
    assert answer.json()["message"].startswith(f"{field}")


def test_the_events_of_a_job_stay_with_it(api: TestClient, alpha: dict[str, object]) -> None:
    events = api.get(f"/api/v1/jobs/{alpha['job_id']}/events").json()["items"]
    assert [event["type"] for event in events] == ["job_queued"]
    assert api.get("/api/v1/jobs/none/events").json()["code"] == "unknown_job"
