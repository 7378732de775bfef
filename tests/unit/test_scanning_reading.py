"""Reading a found file: what is text, and what is told about a file that is none."""

import json
import os
from hashlib import blake2b
from pathlib import Path

import pytest

from muniment.scanning import FileText, FoundFile, Scanner, SkippedFile, SkipReason, read_text
from muniment.scanning.reading import decode

LIMIT = 1_000_000


def found(path: Path) -> FoundFile:
    status = path.lstat()
    return FoundFile(path.name, str(path), status.st_size, status.st_mtime_ns)


def reason(path: Path, limit: int = LIMIT) -> SkipReason | None:
    read = read_text(found(path), limit)
    return read.reason if isinstance(read, SkippedFile) else None


def test_a_text_comes_with_hash_size_and_time_of_its_file(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes("héllo\r\n".encode())

    read = read_text(found(file), LIMIT)

    digest = blake2b(file.read_bytes(), digest_size=16).digest()
    assert read == FileText("héllo\r\n", digest, 8, file.stat().st_mtime_ns)


def test_an_empty_file_is_an_empty_text(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()

    read = read_text(found(tmp_path / "empty"), LIMIT)

    assert isinstance(read, FileText)
    assert read.text == ""


def test_size_and_time_are_those_of_the_read_not_of_the_walk(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("old")
    before = found(file)
    file.write_text("newer")
    os.utime(file, ns=(1, before.mtime_ns + 5))

    read = read_text(before, LIMIT)

    assert isinstance(read, FileText)
    assert (read.text, read.size, read.mtime_ns) == ("newer", 5, before.mtime_ns + 5)


def test_a_missing_file_has_vanished(tmp_path: Path) -> None:
    file = FoundFile("a", str(tmp_path / "a"), 1, 1)
    below_a_file = FoundFile("b/c", str(tmp_path / "b/c"), 1, 1)
    (tmp_path / "b").touch()

    assert read_text(file, LIMIT) == SkippedFile("a", SkipReason.VANISHED)
    assert read_text(below_a_file, LIMIT) == SkippedFile("b/c", SkipReason.VANISHED)


@pytest.mark.parametrize("call", ["open", "read"])
def test_a_file_that_the_system_refuses_is_unreadable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    file = tmp_path / "a"
    file.write_text("x")

    def refuse(*_: object) -> int:
        raise PermissionError(13, "refused")

    with monkeypatch.context() as patched:
        patched.setattr(os, call, refuse)
        answer = reason(file)

    assert answer == SkipReason.UNREADABLE


def test_a_file_that_became_a_link_or_a_pipe_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "link").symlink_to("secret")
    os.mkfifo(tmp_path / "pipe")

    assert reason(tmp_path / "link") == SkipReason.SYMLINK
    assert reason(tmp_path / "pipe") == SkipReason.SPECIAL


def test_a_folder_swapped_for_a_link_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "root/sub").mkdir(parents=True)
    (tmp_path / "root/sub/a").write_text("mine")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/a").write_text("secret")
    [file] = Scanner([str(tmp_path / "root")]).walk()
    (tmp_path / "root/sub").rename(tmp_path / "old")
    (tmp_path / "root/sub").symlink_to(tmp_path / "outside")

    assert isinstance(file, FoundFile)
    assert read_text(file, LIMIT) == SkippedFile("sub/a", SkipReason.VANISHED)


def test_a_system_without_procfs_resolves_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(self: Path) -> Path:
        raise FileNotFoundError(self)

    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/a").write_text("x")
    (tmp_path / "link").symlink_to("sub")
    monkeypatch.setattr(Path, "readlink", missing)

    assert reason(tmp_path / "sub/a") is None
    assert reason(tmp_path / "link/a") == SkipReason.VANISHED


def test_a_binary_file_is_skipped_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"\0\1\2")

    assert read_text(found(tmp_path / "a.bin"), LIMIT) == SkippedFile("a.bin", SkipReason.BINARY)


def test_a_file_that_grew_past_the_limit_is_oversized(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a"
    file.write_text("x" * 11)
    assert reason(file, limit=11) is None
    assert reason(file, limit=10) == SkipReason.OVERSIZED

    file.write_text("x" * 10)
    read = os.read

    def grow_then_read(descriptor: int, size: int) -> bytes:
        with file.open("a") as more:
            more.write("y" * 5)
        return read(descriptor, size)

    with monkeypatch.context() as patched:
        patched.setattr(os, "read", grow_then_read)
        answer = reason(file, limit=10)
    assert answer == SkipReason.OVERSIZED


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"plain", "plain"),
        ("\ufeffmarked".encode(), "marked"),
        ("wide é\n".encode("utf-16"), "wide é\n"),
        (b"\xfe\xff" + "big é".encode("utf-16-be"), "big é"),
        (b"colour \x1b[31mred\x1b[0m\f\n", "colour \x1b[31mred\x1b[0m\f\n"),
        (b"lone \r return", "lone \r return"),
        (b"a" * 8_000 + b"\0", "a" * 8_000 + "\0"),
        (b"x" * 200 + b"\xe9", "x" * 200 + "\ufffd"),
    ],
)
def test_text_is_decoded(content: bytes, text: str) -> None:
    assert decode(content, "a.c") == text


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\x7fELF\0\0", SkipReason.BINARY),
        (b"\x01\x02\x03\x04text", SkipReason.BINARY),
        (b"\xff\xfe\0\0a\0\0\0", SkipReason.BINARY),
        (b"\xff\xfea", SkipReason.UNDECODABLE),
        ("Grüße aus Köln".encode("latin-1"), SkipReason.UNDECODABLE),
    ],
)
def test_what_is_no_text_has_its_reason(content: bytes, expected: SkipReason) -> None:
    assert decode(content, "a.c") == expected


def test_replacement_characters_of_the_author_are_no_fault() -> None:
    text = "\ufffd" * 50
    assert decode(text.encode(), "a.txt") == text


LONG_LINE = b"var a=1;" * 1_000


@pytest.mark.parametrize("path", ["a.js", "A.MJS", "a.css", "a.html", "a.js.map"])
def test_a_long_line_of_web_code_is_minified(path: str) -> None:
    assert decode(LONG_LINE, path) == SkipReason.MINIFIED
    assert decode(b"/*! licence */\n" * 3 + LONG_LINE, path) == SkipReason.MINIFIED


def test_other_code_is_minified_only_when_its_lines_are_absurd() -> None:
    assert decode(LONG_LINE, "a.py") == LONG_LINE.decode()
    assert decode(LONG_LINE * 10, "a.py") == SkipReason.MINIFIED
    assert decode(json.dumps(list(range(10_000))).encode(), "a.json") == SkipReason.MINIFIED


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("novel.md", b"A paragraph on one line. " * 4_000),
        ("rows.jsonl", b'{"a": 1}' * 5_000),
        ("rows.csv", b"1,2,3," * 10_000),
        ("app.js", b"short();\n" * 1_000 + b'const picture = "' + b"A" * 9_000 + b'";\n'),
        ("style.css", b"a { color: red }\n" * 10),
    ],
)
def test_prose_rows_and_one_long_literal_are_not_minified(path: str, content: bytes) -> None:
    assert decode(content, path) == content.decode()


def test_a_short_encrypted_file_is_binary_and_one_in_an_old_encoding_undecodable() -> None:
    encrypted = bytes(number for number in range(1, 256)) * 2  # no NUL, a tenth of it control characters
    assert decode(encrypted, "secret.enc") == SkipReason.BINARY
    assert decode("große Größe, überall Umlaute\n".encode("latin-1") * 9, "notes.txt") == SkipReason.UNDECODABLE
