"""The settings that choose what embeds files: nonsense is refused by name, and the key is never shown."""

import pytest

from muniment.errors import InvalidValue
from muniment.settings import read

URL = "http://127.0.0.1:8080/v1"


def test_files_are_embedded_by_the_static_model_unless_told_otherwise() -> None:
    assert read().file_embedder == "static"


def test_an_unknown_embedder_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidValue, match=r"MUNIMENT_FILE_EMBEDDER is 'bert': .*static, minilm, url"):
        read(file_embedder="bert")


def test_a_server_needs_url_and_model() -> None:
    with pytest.raises(InvalidValue, match="needs MUNIMENT_EMBEDDING_URL"):
        read(file_embedder="url", embedding_model="m")
    with pytest.raises(InvalidValue, match="needs MUNIMENT_EMBEDDING_MODEL"):
        read(file_embedder="url", embedding_url=URL)
    assert read(file_embedder="url", embedding_url=URL + "/", embedding_model="m").embedding_url == URL


@pytest.mark.parametrize("url", ["127.0.0.1:8080", "ftp://host/v1", "http://", "http://host:many/v1", "http://[host"])
def test_a_url_that_is_none_is_refused_and_shown(url: str) -> None:
    with pytest.raises(InvalidValue, match="MUNIMENT_EMBEDDING_URL") as refused:
        read(embedding_url=url)
    assert url in str(refused.value)


@pytest.mark.parametrize("url", ["http://me:hunter2@host/v1", "http://host/v1?key=hunter2", "http://hunter2@[host"])
def test_a_url_with_a_secret_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(InvalidValue, match="MUNIMENT_EMBEDDING_URL") as refused:
        read(embedding_url=url)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("key", ["hunter2\n", "hunter2 hunter2", "hünter2"])
def test_a_key_that_no_header_can_carry_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(InvalidValue, match="MUNIMENT_EMBEDDING_KEY") as refused:
        read(embedding_key=key)
    assert "nter2" not in str(refused.value)


def test_the_key_is_not_shown_with_the_settings() -> None:
    settings = read(embedding_key="sk-hunter2")
    assert settings.embedding_key == "sk-hunter2"
    assert "hunter2" not in repr(settings)


@pytest.mark.parametrize("name", ["embedding_dimensions", "vector_cache_bytes"])
def test_negative_numbers_are_refused(name: str) -> None:
    with pytest.raises(InvalidValue, match=f"MUNIMENT_{name.upper()}"):
        read(**{name: -1})
