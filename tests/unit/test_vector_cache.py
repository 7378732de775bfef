"""Vectors of a costly embedder on disk: exact, bounded, shared by processes, and never in the way."""

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from muniment.embedding import Vectors, cache_file
from muniment.embedding.cache import CachedEmbedder
from muniment.embedding.cache_file import LEAST_TRIMMED, REST_SECONDS, USED_SECONDS, CacheFile
from muniment.sqlite import connect
from muniment.testing import HashedWordsEmbedder

ROOMY = 100_000_000


class Wall:
    """The time, in seconds since 1970."""

    def __init__(self) -> None:
        self.seconds = 1_700_000_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
def inner() -> HashedWordsEmbedder:
    embedder = HashedWordsEmbedder(dimensions=64, name="costly-64")
    embedder.batch_texts = 10
    return embedder


@pytest.fixture
def cached(inner: HashedWordsEmbedder, tmp_path: Path, wall: Wall) -> CachedEmbedder:
    return CachedEmbedder(inner, tmp_path / "vectors", ROOMY, wall)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "vectors" / "costly-64.sqlite"


def texts(count: int, what: str = "text") -> list[str]:
    return [f"{what} number {number}" for number in range(count)]


def fresh(asked: Sequence[str]) -> Vectors:
    return HashedWordsEmbedder(dimensions=64, name="costly-64").embed(asked)


def rows(path: Path) -> int:
    with closing(sqlite3.connect(path)) as database:
        return int(database.execute("SELECT count(*) FROM vectors").fetchone()[0])


def test_a_text_is_embedded_once_and_its_vector_is_the_same_bit_by_bit(
    cached: CachedEmbedder, inner: HashedWordsEmbedder, tmp_path: Path
) -> None:
    asked = ["alpha beta", "gamma", "", "lone \ud800 surrogate"]
    first = cached.embed(asked)
    again = CachedEmbedder(inner, tmp_path / "vectors", ROOMY).embed(asked[::-1])
    assert inner.calls == [asked]
    assert first.dtype == again.dtype == np.float32
    assert first.tobytes() == again[::-1].tobytes() == fresh(asked).tobytes()


def test_it_is_what_it_caches_but_for_the_work(cached: CachedEmbedder, inner: HashedWordsEmbedder) -> None:
    assert (cached.name, cached.dimensions, cached.batch_texts) == ("costly-64", 64, 10)
    assert cached.source is None
    assert cached.embed([]).shape == (0, 64)
    inner.source = "http://host/v1#model=m"
    assert cached.source == inner.source


def test_nothing_is_opened_before_the_first_text(cached: CachedEmbedder, path: Path) -> None:
    assert cached.name
    assert not path.parent.exists()
    cached.embed(["text"])
    assert path.exists()


def test_only_what_is_missing_is_embedded_and_that_in_batches(
    cached: CachedEmbedder, inner: HashedWordsEmbedder
) -> None:
    cached.embed(texts(5))
    inner.calls.clear()
    assert cached.embed(texts(27)).tobytes() == fresh(texts(27)).tobytes()
    assert inner.calls == [texts(27)[5:15], texts(27)[15:25], texts(27)[25:]]


def test_a_text_that_comes_twice_is_embedded_once(cached: CachedEmbedder, inner: HashedWordsEmbedder) -> None:
    vectors = cached.embed(["same", "other", "same"])
    assert inner.calls == [["same", "other"]]
    np.testing.assert_array_equal(vectors[0], vectors[2])


def test_many_texts_are_found_at_once(cached: CachedEmbedder, inner: HashedWordsEmbedder) -> None:
    inner.batch_texts = 5_000
    cached.embed(texts(1_201))
    assert cached.embed(texts(1_201)).tobytes() == fresh(texts(1_201)).tobytes()
    assert len(inner.calls) == 1


def test_vectors_of_another_length_are_a_miss_and_are_replaced(
    cached: CachedEmbedder, inner: HashedWordsEmbedder, tmp_path: Path
) -> None:
    cached.embed(["one", "two"])
    changed = HashedWordsEmbedder(dimensions=32, name=inner.name)
    now = CachedEmbedder(changed, tmp_path / "vectors", ROOMY)
    # all of it is in the cache: only the answer to a new text tells that the model is another one
    assert now.embed(["one", "two", "three"]).tobytes() == changed.embed(["one", "two", "three"]).tobytes()
    assert now.embed(["one", "three"]).shape == (2, 32)
    cached.embed(["new"])
    mixed = CachedEmbedder(inner, tmp_path / "vectors", ROOMY)
    assert mixed.embed(["one", "new"]).tobytes() == fresh(["one", "new"]).tobytes()


def small(inner: HashedWordsEmbedder, path: Path, wall: Wall, rows: int = 4_000) -> CachedEmbedder:
    return CachedEmbedder(inner, path.parent, rows * 300, wall)


def test_what_was_not_used_for_longest_leaves_first_and_the_file_stays_within_its_bound(
    inner: HashedWordsEmbedder, path: Path, wall: Wall
) -> None:
    inner.batch_texts = 100
    bounded = small(inner, path, wall)
    bounded.embed(texts(100, "kept in use"))
    for turn in range(80):
        wall.seconds += USED_SECONDS
        bounded.embed(texts(100, f"turn {turn}"))
        bounded.embed(texts(100, "kept in use"))
    assert sum("kept in use" in call[0] for call in inner.calls) == 1
    inner.calls.clear()
    bounded.embed(texts(100, "turn 79") + texts(100, "turn 0"))
    assert [call[0] for call in inner.calls] == ["turn 0 number 0"]
    bounded.close()
    assert LEAST_TRIMMED < rows(path) < 4_000
    assert path.stat().st_size < 1.2 * 4_000 * 300


def test_a_hit_within_the_same_hour_writes_nothing(cached: CachedEmbedder, path: Path, wall: Wall) -> None:
    def used() -> set[int]:
        with closing(sqlite3.connect(path)) as database:
            return {row[0] for row in database.execute("SELECT used FROM vectors")}

    cached.embed(["text"])
    before = used()
    with closing(connect(path)) as other:
        version = other.execute("PRAGMA data_version").fetchone()[0]
        cached.embed(["text"])
        assert other.execute("PRAGMA data_version").fetchone()[0] == version
        wall.seconds += USED_SECONDS
        cached.embed(["text"])
        assert other.execute("PRAGMA data_version").fetchone()[0] != version
    assert used() == {hour + 1 for hour in before}


def test_the_caches_of_other_models_make_room_first(inner: HashedWordsEmbedder, path: Path, wall: Wall) -> None:
    inner.batch_texts = 1_000
    former = HashedWordsEmbedder(dimensions=64, name="former-64")
    with closing(small(former, path, wall)) as old:
        old.embed(texts(2_500))
    bounded = small(inner, path, wall)
    bounded.embed(texts(500))
    assert path.with_name("former-64.sqlite").exists()
    bounded.embed(texts(2_500))
    assert not path.with_name("former-64.sqlite").exists()
    inner.calls.clear()
    bounded.embed(texts(2_500))
    assert inner.calls == []


def test_a_file_much_larger_than_a_lowered_bound_is_begun_anew(
    cached: CachedEmbedder, inner: HashedWordsEmbedder, path: Path, wall: Wall
) -> None:
    inner.batch_texts = 1_000
    cached.embed(texts(3_000))
    cached.close()
    assert small(inner, path, wall, rows=500).embed(["text"]).tobytes() == fresh(["text"]).tobytes()
    assert path.stat().st_size < 500 * 300


DELETIONS: dict[str, Callable[[Path], object]] = {
    "the whole folder": lambda path: shutil.rmtree(path.parent),
    "the file with its log": cache_file._delete,
    "the file alone": Path.unlink,
}


@pytest.mark.parametrize("delete", DELETIONS.values(), ids=DELETIONS.keys())
def test_a_cache_deleted_under_way_is_begun_anew(
    cached: CachedEmbedder, inner: HashedWordsEmbedder, path: Path, delete: Callable[[Path], object]
) -> None:
    cached.embed(texts(20))
    delete(path)
    for _ in range(2):
        assert cached.embed(texts(20)).tobytes() == fresh(texts(20)).tobytes()
    assert len(inner.calls) == 4
    assert rows(path) == 20


def test_a_log_deleted_alone_gives_no_wrong_vector(
    cached: CachedEmbedder, inner: HashedWordsEmbedder, path: Path
) -> None:
    for turn in range(3):
        cached.embed(texts(20, f"turn {turn}"))
        path.with_name(path.name + "-wal").unlink()
        other = CachedEmbedder(inner, path.parent, ROOMY)
        for asked in (texts(20, "turn 0"), texts(20, f"of another {turn}")):
            assert other.embed(asked).tobytes() == fresh(asked).tobytes()
            assert cached.embed(asked).tobytes() == fresh(asked).tobytes()


def foreign_tables(path: Path) -> None:
    cache_file._delete(path)
    with closing(sqlite3.connect(path)) as database:
        database.executescript("CREATE TABLE vectors (x); CREATE TABLE vectors_by_use (x)")


def broken_page(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    path.write_bytes(data)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "no database": lambda path: path.write_bytes(b"<!DOCTYPE html>" * 1000),
    "broken pages": broken_page,
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:5000]),
    "another's tables": foreign_tables,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_file_is_begun_anew_and_the_log_says_so(
    cached: CachedEmbedder,
    inner: HashedWordsEmbedder,
    path: Path,
    caplog: pytest.LogCaptureFixture,
    damage: Callable[[Path], object],
) -> None:
    cached.embed(texts(30))
    cached.close()
    damage(path)
    assert cached.embed(texts(30)).tobytes() == fresh(texts(30)).tobytes()
    assert "damaged and begun anew" in caplog.text
    cached.embed(texts(30))
    inner.calls.clear()
    assert cached.embed(texts(30)).tobytes() == fresh(texts(30)).tobytes()
    assert inner.calls == []


@pytest.mark.parametrize("wrong", [b"", b"1234", b"12345", b"\0" * 260, 7, "text", None])
def test_a_row_that_is_not_what_was_kept_is_a_miss(
    cached: CachedEmbedder, inner: HashedWordsEmbedder, path: Path, wrong: object
) -> None:
    cached.embed(["one", "two"])
    with closing(sqlite3.connect(path)) as database:
        if wrong is None:  # the vector of one text under the hash of another
            database.execute("UPDATE vectors SET vector = (SELECT vector FROM vectors ORDER BY hash LIMIT 1)")
        else:
            database.execute("UPDATE vectors SET vector = ?", (wrong,))
        database.commit()
    for _ in range(2):
        assert cached.embed(["one", "two"]).tobytes() == fresh(["one", "two"]).tobytes()
    assert len(inner.calls) == 2


def test_without_room_on_the_disk_it_goes_on_without_cache_and_tries_again_later(
    cached: CachedEmbedder,
    inner: HashedWordsEmbedder,
    path: Path,
    wall: Wall,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def cramped(where: Path) -> sqlite3.Connection:
        connection = connect(where)
        connection.execute("PRAGMA max_page_count = 8")
        return connection

    monkeypatch.setattr(cache_file, "connect", cramped)
    for _ in range(3):
        assert cached.embed(texts(200)).tobytes() == fresh(texts(200)).tobytes()
    assert caplog.text.count("going on without it") == 1
    monkeypatch.undo()
    wall.seconds += REST_SECONDS
    cached.embed(texts(200))
    assert rows(path) == 200
    inner.calls.clear()
    cached.embed(texts(200))
    assert inner.calls == []


def test_a_place_that_cannot_be_written_is_no_cache_and_no_error(
    inner: HashedWordsEmbedder, tmp_path: Path, wall: Wall, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "vectors").write_text("a file in the place of the folder")
    cached = CachedEmbedder(inner, tmp_path / "vectors", ROOMY, wall)
    assert cached.embed(["text"]).tobytes() == fresh(["text"]).tobytes()
    (tmp_path / "vectors").unlink()
    (tmp_path / "vectors" / "costly-64.sqlite").mkdir(parents=True)
    wall.seconds += REST_SECONDS
    assert cached.embed(["text"]).tobytes() == fresh(["text"]).tobytes()
    assert caplog.text.count("going on without it") == 2


def test_damage_that_cannot_be_deleted_is_no_error(
    cached: CachedEmbedder, path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def forbidden(_: Path) -> None:
        raise PermissionError(13, "not yours")

    path.parent.mkdir()
    path.write_bytes(b"<!DOCTYPE html>" * 1000)
    monkeypatch.setattr(cache_file, "_delete", forbidden)
    assert cached.embed(["text"]).tobytes() == fresh(["text"]).tobytes()
    assert "not yours" in caplog.text


def test_while_another_process_writes_nothing_is_kept_and_nothing_waits_long(
    cached: CachedEmbedder, inner: HashedWordsEmbedder, path: Path, monkeypatch: pytest.MonkeyPatch, wall: Wall
) -> None:
    monkeypatch.setattr(cache_file, "BUSY_MILLISECONDS", 1)
    cached.embed(["known"])
    wall.seconds += USED_SECONDS
    with closing(connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert cached.embed(["known", "new"]).tobytes() == fresh(["known", "new"]).tobytes()
        other.execute("ROLLBACK")
    assert inner.calls == [["known"], ["new"]]
    cached.embed(["known", "new"])
    cached.embed(["known", "new"])
    assert inner.calls == [["known"], ["new"], ["new"]]


def test_threads_share_one_cache(cached: CachedEmbedder) -> None:
    asked = [texts(30, f"of {number % 4}") for number in range(16)]
    with ThreadPoolExecutor(8) as pool:
        for one, vectors in zip(asked, pool.map(cached.embed, asked), strict=True):
            assert vectors.tobytes() == fresh(one).tobytes()


ANOTHER_PROCESS = """
import sys
from pathlib import Path
from muniment.embedding.cache import CachedEmbedder
from muniment.testing import HashedWordsEmbedder

inner = HashedWordsEmbedder(dimensions=64, name="costly-64")
inner.batch_texts = 10
cached = CachedEmbedder(inner, Path(sys.argv[1]), 100_000_000)
print("ready", flush=True)
sys.stdin.readline()
for number in range(100):
    asked = [f"text number {number} {part}" for part in range(5)] + [f"of {sys.argv[2]} {number}"]
    assert cached.embed(asked).tobytes() == inner.embed(asked).tobytes()
print("done", flush=True)
"""


def other_process(folder: Path, name: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-W", "error", "-c", ANOTHER_PROCESS, str(folder), name]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_processes_share_one_cache_also_while_it_is_deleted(
    cached: CachedEmbedder, inner: HashedWordsEmbedder, path: Path
) -> None:
    processes = [other_process(path.parent, name) for name in ("first", "second")]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for number in range(100):
        if number in (30, 60):
            shutil.rmtree(path.parent, ignore_errors=True)
        asked = [f"text number {number} {part}" for part in range(5)]
        assert cached.embed(asked).tobytes() == fresh(asked).tobytes()
    for process in processes:
        output, errors = process.communicate(timeout=60)
        assert (output, process.returncode) == ("done\n", 0), errors
    # a folder deleted file by file may leave a damaged one: it is noticed, and replaced
    for _ in range(3):
        inner.calls.clear()
        assert cached.embed(asked).tobytes() == fresh(asked).tobytes()
    assert inner.calls == []


def test_closing_twice_or_unopened_is_harmless(tmp_path: Path) -> None:
    file = CacheFile(tmp_path / "x.sqlite", ROOMY)
    file.close()
    file.keep({b"h": np.ones(3, np.float32)})
    file.close()
    file.close()
    assert list(file.find([b"h"])) == [b"h"]
    file.close()


def test_a_clock_that_is_set_back_does_not_prolong_its_rest(tmp_path: Path, wall: Wall) -> None:
    folder = tmp_path / "vectors"
    folder.write_text("in the way")
    cache = CacheFile(folder / "costly-64.sqlite", ROOMY, wall)
    one = {b"one".ljust(16): np.ones(4, np.float32)}
    cache.keep(one)
    folder.unlink()
    wall.seconds -= 86_400
    cache.keep(one)
    assert list(cache.find(list(one))) == list(one)
