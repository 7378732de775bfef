"""The pure parts of the embedded stack: restarts, environment, names and places."""

import os
import sqlite3
import stat
from pathlib import Path

import pytest

from muniment.access import is_loopback, resolve_token
from muniment.errors import InvalidValue, TokenRequired
from muniment.settings import Settings
from muniment.stack import valkey
from muniment.stack.children import base_url, environment
from muniment.stack.chroma import sweep
from muniment.stack.state import FileLock, holder, read_state
from muniment.stack.supervision import RestartPolicy, last_line, rotate

SEGMENT = "0e9f1f6c-94ae-4a4c-9c3f-5ef6a3b2a111"
ORPHAN = "5b0f7e1e-2d56-4a55-8a38-30b4b8f41222"


def test_the_wait_before_a_restart_doubles_up_to_ten_seconds():
    policy, now, waits = RestartPolicy(), 0.0, []
    for _ in range(8):
        policy.started(now)
        waits.append(policy.died(now))
        now += waits[-1]

    assert waits == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]


def test_a_child_that_lived_for_thirty_seconds_starts_anew_at_once():
    policy = RestartPolicy()
    for _ in range(5):
        policy.started(0.0)
        policy.died(1.0)
    policy.started(100.0)

    assert policy.died(129.9) == 6.4
    policy.started(200.0)
    assert policy.died(230.0) == 0.2


def test_a_restart_is_due_once_its_wait_is_over_and_not_while_the_child_lives():
    policy = RestartPolicy()
    policy.started(10.0)
    assert not policy.due(1000.0)

    policy.died(10.0)
    assert not policy.due(10.19)
    assert policy.due(10.2)

    policy.started(10.2)
    assert not policy.due(1000.0)


def test_children_read_the_settings_that_the_stack_was_given(tmp_path, monkeypatch):
    given = Settings(
        data_dir=tmp_path,
        roots=[tmp_path / "a", tmp_path / "b"],
        allowed_hosts=["muniment.example", "other.example"],
        port=7500,
        token="0123456789abcdef",
        redis_url="unix:///run/valkey.sock",
        debounce_seconds=0.05,
    )
    for name, value in environment(given).items():
        monkeypatch.setenv(name, value)

    assert Settings() == given


def test_settings_nobody_gave_stay_out_of_the_environment(tmp_path):
    assert set(environment(Settings(data_dir=tmp_path))) == {"MUNIMENT_DATA_DIR"}


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:7420"),
        ("0.0.0.0", "http://127.0.0.1:7420"),
        ("::", "http://[::1]:7420"),
        ("::1", "http://[::1]:7420"),
        ("muniment.example", "http://muniment.example:7420"),
    ],
)
def test_a_server_is_reached_by_a_url_that_this_host_can_use(host, url):
    assert base_url(host, 7420) == url


def test_a_short_folder_holds_its_own_socket():
    assert valkey.socket_path(Path("/data/redis"), None) == Path("/data/redis/valkey.sock")


def test_the_socket_of_a_deep_folder_moves_where_its_path_is_short_enough():
    deep = Path("/" + "/".join(["folder"] * 20))
    other = deep / "other"

    inside, fallback = valkey.socket_path(deep, Path("/run/user/1000")), valkey.socket_path(deep, None)

    assert inside.is_relative_to("/run/user/1000")
    assert fallback.is_relative_to("/tmp")
    assert len(os.fsencode(fallback)) < 100
    assert valkey.socket_path(other, None) != fallback


def test_a_socket_folder_is_made_private(tmp_path):
    (tmp_path / "open").mkdir(mode=0o755)
    valkey.prepare_socket_folder(tmp_path / "open" / "valkey.sock")

    assert stat.S_IMODE((tmp_path / "open").stat().st_mode) == 0o700


def test_a_socket_folder_that_is_a_link_is_refused(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(InvalidValue, match="not a folder of this user"):
        valkey.prepare_socket_folder(tmp_path / "link" / "valkey.sock")


def test_a_socket_url_survives_odd_characters():
    assert valkey.server_url(Path("/a b/100%/valkey.sock")) == "unix:///a%20b/100%25/valkey.sock"


@pytest.fixture
def chroma_folder(tmp_path: Path) -> Path:
    """One living segment, one orphan and things that are no segments."""
    with sqlite3.connect(tmp_path / "chroma.sqlite3") as database:
        database.execute("CREATE TABLE segments (id TEXT PRIMARY KEY)")
        database.execute("INSERT INTO segments VALUES (?)", (SEGMENT,))
    database.close()
    for name in (SEGMENT, ORPHAN, "notes"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "data_level0.bin").write_bytes(b"x")
    return tmp_path


def test_the_sweep_deletes_only_segments_that_the_database_does_not_know(chroma_folder):
    assert [path.name for path in sweep(chroma_folder)] == [ORPHAN]
    assert sorted(path.name for path in chroma_folder.iterdir()) == [SEGMENT, "chroma.sqlite3", "notes"]


def test_the_sweep_keeps_everything_when_the_database_is_missing_or_unreadable(chroma_folder):
    (chroma_folder / "chroma.sqlite3").write_bytes(b"no database at all" * 100)
    assert sweep(chroma_folder) == []
    (chroma_folder / "chroma.sqlite3").unlink()
    assert sweep(chroma_folder) == []
    assert (chroma_folder / ORPHAN).is_dir()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "localhost", "LOCALHOST", "::1", "[::1]"])
def test_loopback_is_known_by_all_its_names(host):
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "localhost.example", "127.0.0.1.example", ""])
def test_everything_else_is_not_loopback(host):
    assert not is_loopback(host)


def test_loopback_needs_no_token_and_other_addresses_refuse_to_do_without(tmp_path):
    assert resolve_token(Settings(data_dir=tmp_path)) is None
    with pytest.raises(TokenRequired, match=r"0\.0\.0\.0"):
        resolve_token(Settings(data_dir=tmp_path, host="0.0.0.0"))


def test_a_missing_token_file_is_made_once_and_for_the_owner_alone(tmp_path):
    settings = Settings(data_dir=tmp_path, host="0.0.0.0", token_file=tmp_path / "secrets" / "token")
    token = resolve_token(settings)

    assert token is not None
    assert len(token) >= 32
    assert resolve_token(settings) == token
    assert stat.S_IMODE((tmp_path / "secrets" / "token").stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "secrets").iterdir()] == ["token"]


def test_a_token_file_with_too_little_in_it_is_refused(tmp_path):
    (tmp_path / "token").write_text("short\n")
    with pytest.raises(InvalidValue, match="fewer than 16"):
        resolve_token(Settings(data_dir=tmp_path, token_file=tmp_path / "token"))


@pytest.mark.parametrize("content", [None, b"\xff" * 32])
def test_a_token_file_that_cannot_be_read_is_named(tmp_path, content):
    path = tmp_path / "token"
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(InvalidValue, match=r"MUNIMENT_TOKEN_FILE is .*token': it cannot be read \("):
        resolve_token(Settings(data_dir=tmp_path, token_file=path))


def test_a_token_file_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InvalidValue, match=r"MUNIMENT_TOKEN_FILE is .*it cannot be made \("):
        resolve_token(Settings(data_dir=tmp_path, token_file=tmp_path / "file" / "token"))


def test_a_lock_tells_its_holder_and_is_refused_to_a_second_one(tmp_path):
    first, second = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert holder(tmp_path / "lock") is None
    assert first.acquire()

    assert not second.acquire()
    assert holder(tmp_path / "lock") == os.getpid()

    first.release()
    assert holder(tmp_path / "lock") is None
    assert second.acquire()
    second.release()


@pytest.mark.parametrize("content", [None, "", "{", '{"pid": 1}'])
def test_a_state_file_that_cannot_be_read_is_no_state(tmp_path, content):
    if content is not None:
        (tmp_path / "stack.json").write_text(content)
    assert read_state(tmp_path / "stack.json") is None


def test_a_large_log_is_moved_aside(tmp_path):
    log = tmp_path / "worker.log"
    log.write_text("old\n" * 10)
    rotate(log, limit=100)
    assert log.exists()

    rotate(log, limit=39)
    assert not log.exists()
    assert (tmp_path / "worker.log.1").read_text().startswith("old")


def test_the_last_words_of_a_log_skip_blank_lines(tmp_path):
    assert last_line(tmp_path / "none.log") == ""
    (tmp_path / "a.log").write_text("first\nlast words \n\n  \n")
    assert last_line(tmp_path / "a.log") == "last words"
