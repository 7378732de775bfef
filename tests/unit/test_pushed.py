"""Pushed texts on the disk: each path holds what its last call said, whatever dies in between."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muniment import durable
from muniment.errors import DiskFull, InvalidValue, PushesBusy
from muniment.pushed import INCOMING, MAX_PATH_BYTES, PushedFiles, check_path
from muniment.scanning import FileText, FoundFile, SkippedFile, SkipReason

WRITER = """
import sys
from pathlib import Path
from muniment.pushed import PushedFiles
files = PushedFiles(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for number in range(60):
    files.put("both.txt", sys.argv[2] * (number + 1), 0)
    files.remove(f"{sys.argv[2]}.txt")
    files.put(f"{sys.argv[2]}.txt", str(number), 0)
"""


@pytest.fixture
def files(tmp_path: Path) -> PushedFiles:
    files = PushedFiles(tmp_path / "projects" / "alpha-abc234" / "pushed")
    files.make()
    return files


def found(files: PushedFiles, path: str) -> FoundFile:
    (one,) = [one for one in files.look(path) if one.path == path]
    assert isinstance(one, FoundFile)
    return one


def text(files: PushedFiles, path: str) -> str:
    read = files.read(found(files, path))
    assert isinstance(read, FileText)
    return read.text


def stored_as(files: PushedFiles, path: str) -> Path:
    return Path(found(files, path).absolute)


def test_a_pushed_text_is_found_and_read_with_its_stamp(files: PushedFiles) -> None:
    sequence = files.put("docs/käse.md", "süß\r\n\ufeff", 1_000)
    one = found(files, "docs/käse.md")
    content = "süß\r\n\ufeff".encode()
    assert (one.size, one.mtime_ns, one.pushed) == (len(content), sequence, True)
    assert files.read(one) == FileText(
        "süß\r\n\ufeff", blake2b(content, digest_size=16).digest(), len(content), sequence
    )
    assert files.look_at("docs/käse.md") == one


def test_an_empty_text_is_a_file(files: PushedFiles) -> None:
    files.put("empty.txt", "", 1)
    assert found(files, "empty.txt").size == 0
    assert text(files, "empty.txt") == ""


def test_two_puts_within_one_tick_of_the_clock_differ_even_with_a_removal_between(files: PushedFiles) -> None:
    first = files.put("a", "one", 1_000)
    second = files.put("a", "two", 1_000)
    files.remove("a")
    third = files.put("a", "six", 500)
    assert first == 1_000
    assert first < second < third


def test_a_removed_text_is_gone_and_removing_it_again_says_so(files: PushedFiles) -> None:
    files.put("a", "text", 1)
    assert files.remove("a")
    assert not files.remove("a")
    assert list(files.walk()) == []
    assert files.look_at("a") is None


def test_without_its_folder_nothing_is_found_and_nothing_can_be_put(tmp_path: Path) -> None:
    files = PushedFiles(tmp_path / "gone" / "pushed")
    assert list(files.walk()) == list(files.look("a")) == []
    assert (files.count(), files.look_at("a"), files.remove("a")) == (0, None, False)
    with pytest.raises(FileNotFoundError):
        files.put("a", "text", 1)
    assert not (tmp_path / "gone").exists()


def test_a_look_takes_the_path_itself_and_what_lies_below_it(files: PushedFiles) -> None:
    for path in ("a", "a/b", "a/c/d", "ab", "b/a"):
        files.put(path, path, 1)
    assert [one.path for one in files.look("a")] == ["a", "a/b", "a/c/d"]
    assert [one.path for one in files.look("a/c")] == ["a/c/d"]
    assert [one.path for one in files.look("")] == ["a", "a/b", "a/c/d", "ab", "b/a"]
    assert list(files.look("A")) == []


def test_a_put_that_fails_for_want_of_space_takes_none(files: PushedFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    files.put("a", "text", 1)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskFull):
        files.put("a", "x" * 10_000, 2)
    assert text(files, "a") == "text"
    assert not stored_as(files, "a").with_name(INCOMING).exists()


def test_a_look_at_many_paths_lists_the_folder_once(files: PushedFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [f"{number}/a" for number in range(20)]
    for path in paths:
        files.put(path, "text", 1)
    listings = []
    kept = os.scandir
    monkeypatch.setattr(os, "scandir", lambda folder: listings.append(folder) or kept(folder))
    assert {one.path for one in files.look(*paths, "gone")} == set(paths)
    assert len(listings) == 1
    assert list(files.look()) == []


def test_a_look_sees_what_another_process_put_since(files: PushedFiles, tmp_path: Path) -> None:
    files.put("a/b", "text", 1)
    assert [one.path for one in files.look("a")] == ["a/b"]
    PushedFiles(tmp_path / "projects" / "alpha-abc234" / "pushed").put("a/c", "text", 1)
    assert [one.path for one in files.look("a")] == ["a/b", "a/c"]


def test_a_text_that_vanished_before_it_was_read_is_a_skip(files: PushedFiles) -> None:
    files.put("a", "text", 1)
    one = found(files, "a")
    files.remove("a")
    assert files.read(one) == SkippedFile("a", SkipReason.VANISHED)


def test_a_text_that_was_replaced_is_read_with_the_stamp_of_the_new_one(files: PushedFiles) -> None:
    files.put("a", "old", 1)
    one = found(files, "a")
    sequence = files.put("a", "newer", 2)
    read = files.read(one)
    assert isinstance(read, FileText)
    assert (read.text, read.size, read.mtime_ns) == ("newer", 5, sequence)


@pytest.mark.parametrize(
    "content", [b"", b"no json\ntext", b'{"path": "other", "sequence": 1}\ntext', b"\xff" * 40_000]
)
def test_a_damaged_header_is_a_failure_and_the_others_are_found(files: PushedFiles, content: bytes) -> None:
    files.put("good", "text", 1)
    files.put("bad", "text", 1)
    one = found(files, "bad")
    Path(one.absolute).write_bytes(content)
    assert files.read(one) == SkippedFile("bad", SkipReason.UNDECODABLE)
    assert list(files.look("bad")) == [SkippedFile("bad", SkipReason.UNDECODABLE, pushed=True)]
    fresh = PushedFiles(Path(one.absolute).parent)
    skipped, good = sorted(fresh.walk(), key=lambda item: item.path != f"pushed/{Path(one.absolute).name}")
    assert skipped == SkippedFile(f"pushed/{Path(one.absolute).name}", SkipReason.UNDECODABLE, pushed=True)
    assert good.path == "good"
    assert files.look_at("bad") == SkippedFile("bad", SkipReason.UNDECODABLE, pushed=True)
    files.put("bad", "mended", 2)
    assert text(files, "bad") == "mended"


def test_a_damaged_text_is_a_failure(files: PushedFiles) -> None:
    files.put("a", "text", 1)
    with stored_as(files, "a").open("ab") as stored:
        stored.write(b"\xff")
    assert files.read(found(files, "a")) == SkippedFile("a", SkipReason.UNDECODABLE)


class Died(Exception):
    """Stands for the process that ends there."""


def test_a_crash_before_the_rename_leaves_the_old_text_and_no_litter(
    files: PushedFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.put("a", "old", 1)
    folder = stored_as(files, "a").parent

    def die(*_: object) -> None:
        raise Died

    with monkeypatch.context() as dying:
        dying.setattr(Path, "rename", die)
        with pytest.raises(Died):
            files.put("a", "new", 2)
    assert (folder / INCOMING).exists()
    assert text(files, "a") == "old"
    assert files.count() == 1
    files.put("b", "text", 3)
    assert not (folder / INCOMING).exists()
    assert text(files, "a") == "old"


def test_text_and_name_are_on_the_disk_before_the_answer(files: PushedFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    fsync, rename = os.fsync, Path.rename

    def synced(descriptor: int) -> None:
        done.append("folder synced" if Path(f"/proc/self/fd/{descriptor}").resolve().is_dir() else "text synced")
        fsync(descriptor)

    def renamed(source: Path, target: Path) -> Path:
        done.append("renamed")
        return rename(source, target)

    monkeypatch.setattr(durable.os, "fsync", synced)
    monkeypatch.setattr(Path, "rename", renamed)
    files.put("a", "text", 1)
    assert done == ["text synced", "renamed", "folder synced"]
    files.remove("a")
    assert done[3:] == ["folder synced"]


def test_a_full_disk_is_told_and_the_old_text_stays(files: PushedFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    files.put("a", "old", 1)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as filling:
        filling.setattr(durable.os, "fsync", full)
        with pytest.raises(DiskFull):
            files.put("a", "new", 2)
    assert text(files, "a") == "old"


def test_a_writer_that_hangs_is_not_waited_for_without_end(files: PushedFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("muniment.pushed.LOCK_SECONDS", 0.05)
    with files._writing(), pytest.raises(PushesBusy):
        files.put("a", "text", 1)


def test_two_processes_take_turns(files: PushedFiles, tmp_path: Path, until: Callable[..., object]) -> None:
    folder = tmp_path / "projects" / "alpha-abc234" / "pushed"
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(folder), letter], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for letter in "xy"
    ]
    for writer in writers:
        assert writer.stdout is not None
        writer.stdout.readline()
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write(b"\n")
        writer.stdin.flush()
    seen: set[str] = set()

    def both_ended() -> bool:
        one = files.look_at("both.txt")
        if isinstance(one, FoundFile):
            read = files.read(one)
            assert isinstance(read, FileText)
            assert len(set(read.text)) == 1, "a text of two halves"
            seen.add(read.text)
        return all(writer.poll() is not None for writer in writers)

    until(both_ended, 30)
    for writer in writers:
        writer.communicate()
        assert writer.returncode == 0
    assert text(files, "both.txt") in ("x" * 60, "y" * 60)
    assert (text(files, "x.txt"), text(files, "y.txt")) == ("59", "59")
    assert len(seen) > 1
    assert files.put("both.txt", "", 0) == 2 * 120 + 1, "one number for each put"


PATHS = st.sampled_from(["a", "a/b", "a/b/c", "b", "B", "ä", "a b\n"])
CALLS = st.lists(st.tuples(PATHS, st.one_of(st.none(), st.text(max_size=8).filter(str.isprintable))), max_size=30)


@settings(max_examples=60, deadline=None)
@given(CALLS, st.integers(0, 3))
def test_each_path_holds_what_its_last_call_said(calls: list[tuple[str, str | None]], tick: int) -> None:
    model: dict[str, str] = {}
    sequences: dict[str, int] = {}
    with TemporaryDirectory() as name:
        handles = [PushedFiles(Path(name) / "pushed") for _ in range(2)]
        handles[0].make()
        for number, (path, content) in enumerate(calls):
            files = handles[number % 2]
            if content is None:
                assert files.remove(path) == (model.pop(path, None) is not None)
            else:
                sequence = files.put(path, content, tick)
                assert sequence > sequences.get(path, -1)
                sequences[path] = sequence
                model[path] = content
        for files in handles:
            assert {one.path: text(files, one.path) for one in files.walk()} == model
            assert files.count() == len(model)
            below = {one.path for one in files.look("a")}
            assert below == {path for path in model if path == "a" or path.startswith("a/")}


WRONG_PATHS = [
    ("", "empty"),
    ("/etc/passwd", "not relative"),
    ("a//b", "empty"),
    ("a/", "empty"),
    ("./a", "'.'"),
    ("a/../b", "'..'"),
    ("..", "'..'"),
    ("a\0b", "NUL"),
    ("\ud800", "surrogate"),
    ("x/.git/config", ".git"),
    ("ä" * (MAX_PATH_BYTES // 2) + "x", "longer"),
]


@pytest.mark.parametrize(("path", "reason"), WRONG_PATHS)
def test_a_path_that_no_file_of_a_project_could_have_is_refused(path: str, reason: str) -> None:
    with pytest.raises(InvalidValue, match=reason.replace(".", r"\.")):
        check_path(path)


@pytest.mark.parametrize("path", ["a", "a/b.md", ".gitignore", "..a/b..", "ä" * (MAX_PATH_BYTES // 2), "a\nb", "~/x"])
def test_any_other_path_is_taken(path: str) -> None:
    assert check_path(path) == path
