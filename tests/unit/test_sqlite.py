import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from muniment.errors import DiskFull
from muniment.sqlite import connect, immediate, snapshot


def value(connection: sqlite3.Connection) -> object:
    return connection.execute("SELECT value FROM t").fetchone()["value"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a folder?%20#" / "t.sqlite"
    connection = connect(path)
    connection.execute("CREATE TABLE t (value)")
    connection.execute("INSERT INTO t VALUES (1)")
    return path


def test_a_database_is_opened_with_wal_foreign_keys_and_the_asked_durability(path: Path) -> None:
    found = [
        connect(path, synchronous="full").execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "foreign_keys", "synchronous", "busy_timeout")
    ]
    assert found == ["wal", 1, 2, 10_000]
    assert connect(path).execute("PRAGMA synchronous").fetchone()[0] == 1


def test_a_missing_database_is_not_made_unless_asked_for(tmp_path: Path) -> None:
    missing = tmp_path / "missing" / "t.sqlite"
    with pytest.raises(FileNotFoundError):
        connect(missing, create=False)
    assert not missing.parent.exists()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(sqlite3.DatabaseError):
        connect(tmp_path / "t.sqlite")


OPEN_MANY = """
import sys, time
from pathlib import Path
from muniment.sqlite import connect
print("ready", flush=True)
start = float(sys.stdin.readline())
for number in range(150):
    while time.time() < start + number * 0.004:  # together, or nothing is tested
        pass
    connect(Path(sys.argv[1]) / f"{number}.sqlite").close()
"""


def test_many_processes_may_open_a_new_database_at_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OPEN_MANY, str(tmp_path)]
    pipe = subprocess.PIPE
    openers = [subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) for _ in range(4)]
    assert [opener.stdout and opener.stdout.readline() for opener in openers] == ["ready\n"] * 4
    start = f"{time.time() + 0.05}\n"
    for opener in openers:
        assert opener.stdin
        opener.stdin.write(start)
        opener.stdin.flush()
    assert [opener.communicate(timeout=30)[1] for opener in openers] == [""] * 4


def test_a_transaction_that_fails_is_rolled_back(path: Path) -> None:
    connection = connect(path)
    with pytest.raises(sqlite3.OperationalError, match="no such table"), immediate(connection):
        connection.execute("UPDATE t SET value = 2").connection.execute("INSERT INTO missing VALUES (1)")
    assert value(connection) == 1
    assert not connection.in_transaction


def test_a_snapshot_does_not_see_what_is_committed_after_it_began(path: Path) -> None:
    reader, writer = connect(path), connect(path)
    with snapshot(reader):
        assert value(reader) == 1
        with immediate(writer):
            writer.execute("UPDATE t SET value = 2")
        assert value(reader) == 1
    assert value(reader) == 2


def test_a_full_disk_is_named_and_changes_nothing(path: Path) -> None:
    connection = connect(path)
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count={pages}")
    with pytest.raises(DiskFull, match=r"t\.sqlite"), immediate(connection):
        connection.execute("INSERT INTO t VALUES (zeroblob(100000))")
    assert connection.execute("SELECT count(*) FROM t").fetchone()[0] == 1
