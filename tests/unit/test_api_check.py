"""The examination of an index over REST, and the request for its repair."""

import pytest

from muniment.jobs import JobKind


@pytest.fixture
def shop(api, gateway_settings):
    folder = gateway_settings.roots[0] / "shop"
    folder.mkdir()
    return api.post("/api/v1/projects", json={"name": "shop", "watch_paths": [str(folder)]}).json()["project"]


def test_a_project_that_was_never_indexed_is_sound(api, shop):
    report = api.get("/api/v1/projects/shop/check").json()
    assert (report["project_id"], report["indexed"], report["sound"]) == (shop["id"], False, True)


@pytest.mark.usefixtures("shop")
def test_a_repair_is_queued_as_a_job_for_the_whole_project(api, services):
    body = {"kind": "update", "paths": ["src"], "repair": True}
    job_id = api.post("/api/v1/projects/shop/jobs", json=body).json()["job_id"]
    job = services.queue.get(job_id)
    assert (job.kind, job.paths, job.repair) == (JobKind.RECONCILE, [], True)


def test_an_unknown_project_is_named(api):
    answer = api.get("/api/v1/projects/nope/check")
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_project")
