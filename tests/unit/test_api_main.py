"""A gateway that cannot start says so in one line, with exit status 1."""

import socket
from pathlib import Path

import pytest

from muniment_api.__main__ import listen, main


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    monkeypatch.setenv("MUNIMENT_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("MUNIMENT_REDIS_URL", "redis://127.0.0.1:9")
    monkeypatch.setenv("MUNIMENT_CHROMA_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("MUNIMENT_PORT", "0")  # the default one may be in use here
    return monkeypatch


def what_it_says() -> str:
    with pytest.raises(SystemExit) as ended:
        main()
    said = ended.value.code
    assert isinstance(said, str), "a text is printed on stderr and makes the exit status 1"
    assert "\n" not in said
    return said


def test_a_port_that_is_taken_is_named_with_its_setting(environment: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        environment.setenv("MUNIMENT_PORT", str(port))
        said = what_it_says()
    assert f"port {port}" in said
    assert "MUNIMENT_PORT" in said


@pytest.mark.parametrize(
    ("name", "value", "named"),
    [
        ("MUNIMENT_HOST", "0.0.0.0", "Refusing to listen on 0.0.0.0 without a token"),
        ("MUNIMENT_HOST", "host.invalid", "without a token"),
        ("MUNIMENT_REDIS_URL", "", "MUNIMENT_REDIS_URL is not set"),
        ("MUNIMENT_REDIS_URL", "localhost:6379", "MUNIMENT_REDIS_URL is 'localhost:6379'"),
        ("MUNIMENT_CHROMA_URL", "", "MUNIMENT_CHROMA_URL is not set"),
        ("MUNIMENT_PORT", "many", "MUNIMENT_PORT is 'many'"),
        ("MUNIMENT_TOKEN", "short", "MUNIMENT_TOKEN"),
        ("MUNIMENT_LOG_LEVEL", "LOUD", "MUNIMENT_LOG_LEVEL is 'LOUD'"),
    ],
)
def test_settings_that_cannot_be_are_named(environment: pytest.MonkeyPatch, name: str, value: str, named: str) -> None:
    environment.setenv(name, value)
    assert named in what_it_says()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_it_listens_where_it_is_told(host: str) -> None:
    with listen(host, 0) as bound:
        assert bound.getsockname()[1] > 0
