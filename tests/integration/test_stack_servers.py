"""The two servers that the stack starts, for real."""

import httpx
from redis import Redis


def test_the_embedded_valkey_keeps_an_append_only_file_and_listens_on_its_socket_alone(valkey_url):
    with Redis.from_url(valkey_url, decode_responses=True) as connection:
        config = connection.config_get("appendonly", "appendfsync", "port", "maxmemory-policy", "unixsocketperm")

    assert config == {
        "appendonly": "yes",
        "appendfsync": "everysec",
        "port": "0",
        "maxmemory-policy": "noeviction",
        "unixsocketperm": "700",
    }


def test_the_embedded_chroma_answers_its_heartbeat(chroma_url):
    assert "nanosecond heartbeat" in httpx.get(f"{chroma_url}/api/v2/heartbeat").json()
