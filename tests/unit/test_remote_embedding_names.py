"""What a remote embedder is called: known without asking the server, and other for another place or model."""

import re

import pytest

from muniment.embedding.remote import RemoteEmbedder

URL = "http://gpu.lab.example:8080/v1"
MODEL = "BAAI/bge-small-en-v1.5"


def test_the_name_tells_model_and_host_and_fits_a_collection_and_a_file() -> None:
    name = RemoteEmbedder(URL, MODEL).name
    assert re.fullmatch(r"remote-baai-bge-small-en-v1-5-gpu-lab-example-[0-9a-f]{8}", name)
    long = RemoteEmbedder("http://" + "very-long." * 20 + "example/v1", "model/" * 50, dimensions=512).name
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]*[a-z0-9]", long)
    assert long.endswith("-512")
    assert len(long) < 100
    assert re.fullmatch(r"remote-10-0-0-7-[0-9a-f]{8}", RemoteEmbedder("http://10.0.0.7/v1", "模型").name)


def test_another_place_model_or_dimension_has_another_name() -> None:
    made = [
        RemoteEmbedder(URL, MODEL),
        RemoteEmbedder(URL, MODEL.lower()),
        RemoteEmbedder(URL, MODEL, dimensions=256),
        RemoteEmbedder("http://gpu.lab.example:8081/v1", MODEL),
        RemoteEmbedder("http://gpu.lab.example:8080/other/v1", MODEL),
        RemoteEmbedder("http://gpu2.lab.example:8080/v1", MODEL),
    ]
    assert len({one.name for one in made}) == len(made)


def test_another_key_or_a_slash_at_the_end_changes_nothing() -> None:
    assert RemoteEmbedder(URL, MODEL).name == RemoteEmbedder(URL + "/", MODEL, key="secret").name


@pytest.mark.parametrize("dimensions", [None, 256])
def test_the_embedder_is_made_again_from_its_source(dimensions: int | None) -> None:
    first = RemoteEmbedder(URL, "a model & more #1", key="a-secret-key", dimensions=dimensions)
    source = first.source
    assert source is not None
    assert source.startswith(URL)
    assert "secret" not in source
    again = RemoteEmbedder.from_source(source)
    assert (again.name, again.source) == (first.name, source)


@pytest.mark.parametrize(
    "source", [URL, URL + "#dimensions=3", URL + "#model=m&dimensions=many", "http://[bad#model=m"]
)
def test_what_is_no_source_is_told(source: str) -> None:
    with pytest.raises(ValueError):
        RemoteEmbedder.from_source(source)
