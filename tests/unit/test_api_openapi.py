"""The OpenAPI document is a contract: it changes on purpose only.

To renew the snapshot: MUNIMENT_RENEW_SNAPSHOTS=1 pytest tests/unit/test_api_openapi.py
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

SNAPSHOT = Path(__file__).parent / "snapshots" / "openapi.json"
RENEW = "MUNIMENT_RENEW_SNAPSHOTS" in os.environ  # read before the fixtures clear the environment


@pytest.fixture
def document(api: TestClient) -> dict[str, Any]:
    document: dict[str, Any] = api.get("/openapi.json").json()
    document["info"]["version"] = "(version)"
    return document


def operations(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{method.upper()} {path}", operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def test_the_openapi_document_is_the_one_that_was_agreed_on(document: dict[str, Any]) -> None:
    text = json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    if RENEW:
        SNAPSHOT.parent.mkdir(exist_ok=True)
        SNAPSHOT.write_text(text, encoding="utf-8")
    assert text == SNAPSHOT.read_text(encoding="utf-8")


def test_every_operation_is_summed_up_and_shows_its_errors(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        assert operation["summary"], name
        assert operation["tags"], name
        if "/api/v1/" in name:
            for status in ("401", "403", "404", "422", "503"):
                schema = operation["responses"][status]["content"]["application/json"]["schema"]
                assert schema["$ref"].endswith("/ErrorBody"), (name, status)


def test_the_frameworks_own_error_shape_appears_nowhere(document: dict[str, Any]) -> None:
    assert "HTTPValidationError" not in json.dumps(document)


def test_operation_ids_are_unique(document: dict[str, Any]) -> None:
    ids = [operation["operationId"] for _, operation in operations(document)]
    assert len(ids) == len(set(ids))
