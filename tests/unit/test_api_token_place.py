"""At its start the gateway says where its token is, and never what it is."""

import logging
from pathlib import Path

import pytest
import uvicorn

from muniment import settings
from muniment_api.__main__ import serve


@pytest.fixture
def unserved(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    monkeypatch.setattr(uvicorn.Server, "run", lambda *_args, **_options: None)
    caplog.set_level(logging.INFO, logger="muniment_api")
    return caplog


def configured(data: Path, **options: object) -> settings.Settings:
    urls = {"redis_url": "redis://127.0.0.1:9", "chroma_url": "http://127.0.0.1:9"}
    return settings.read(data_dir=data, port=0, **urls, **options)


def test_the_place_of_a_token_file_is_printed(unserved: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    file = tmp_path / "token"
    serve(configured(tmp_path, token_file=file))
    assert f"docker compose exec api cat {file}" in unserved.text
    assert file.read_text().strip() not in unserved.text


def test_a_token_of_the_environment_is_named_by_its_variable(
    unserved: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    serve(configured(tmp_path, token="a-token-of-the-environment", token_file=tmp_path / "token"))
    assert "MUNIMENT_TOKEN" in unserved.text
    assert "a-token-of-the-environment" not in unserved.text
    assert not (tmp_path / "token").exists()


def test_without_a_token_none_is_spoken_of(unserved: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    serve(configured(tmp_path))
    assert "listening on 127.0.0.1" in unserved.text
    assert "token" not in unserved.text
